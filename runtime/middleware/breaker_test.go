package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

// guarded is a function behind circuits. What it returns may be changed between attempts.
type guarded struct {
	attempt pipeline.Handler
	calls   atomic.Int64
	err     error
}

func guard(circuits *breaker.Set) *guarded {
	g := &guarded{}
	g.attempt = middleware.Breaker(circuits)(func(context.Context, *pipeline.Delivery) error {
		g.calls.Add(1)
		return g.err
	})
	return g
}

func newCircuits() *breaker.Set {
	return breaker.NewSet(&breaker.Options{Log: slog.New(slog.DiscardHandler)})
}

// try makes n attempts that return err, and returns what the last one came to.
func (g *guarded) try(t *testing.T, n int, err error) error {
	t.Helper()
	g.err = err
	var last error
	for range n {
		last = g.attempt(t.Context(), &pipeline.Delivery{})
	}
	return last
}

// assertWaits checks that an attempt is not made, and returns when to try again.
func (g *guarded) assertWaits(t *testing.T, circuit string) time.Duration {
	t.Helper()
	before := g.calls.Load()
	err := g.attempt(t.Context(), &pipeline.Delivery{})
	wait, ok := errors.AsType[*function.WaitError](err)
	if !ok || wait.Circuit != circuit || wait.After <= 0 || function.VerdictOf(err) != function.Broken {
		t.Fatalf("error %v, want to wait for the circuit of %s", err, circuit)
	}
	if open, ok := errors.AsType[*breaker.OpenError](err); !ok || open.Dependency != circuit {
		t.Errorf("error %v, want an OpenError of %s", err, circuit)
	}
	if g.calls.Load() != before {
		t.Error("the handler was called")
	}
	return wait.After
}

var errDown = function.Unavailable("smtp", errBoom)

func TestNoAttemptIsMadeWhileACircuitIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := guard(newCircuits())
		if err := g.try(t, 5, errDown); !errors.Is(err, errDown) || g.calls.Load() != 5 {
			t.Fatalf("%d calls, error %v", g.calls.Load(), err)
		}
		for range 100 {
			g.assertWaits(t, "smtp")
		}
		time.Sleep(g.assertWaits(t, "smtp"))
		if err := g.try(t, 3, nil); err != nil {
			t.Errorf("a probe: %v", err)
		}
		if err := g.try(t, 1, errBoom); !errors.Is(err, errBoom) {
			t.Errorf("after the circuit closed: %v", err)
		}
	})
}

func TestAFunctionWaitsOnlyForWhatItNeeds(t *testing.T) {
	t.Parallel()
	circuits := newCircuits()
	mails, other := guard(circuits), guard(circuits)
	_ = mails.try(t, 5, errDown)
	if err := other.try(t, 1, nil); err != nil {
		t.Errorf("a function that does not use smtp: %v", err)
	}
	// It turns out to use it: the attempt is made, and the next one waits for the circuit that both share.
	if err := other.try(t, 1, errDown); !errors.Is(err, errDown) {
		t.Errorf("its first failure: %v", err)
	}
	other.assertWaits(t, "smtp")
}

func TestOneAttemptOfTheProcessIsTheProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			circuits = newCircuits()
			begun    = make(chan struct{}, 10)
			release  = make(chan error)
			slow     pipeline.Handler
			others   sync.WaitGroup
		)
		slow = middleware.Breaker(circuits)(func(context.Context, *pipeline.Delivery) error {
			begun <- struct{}{}
			return <-release
		})
		quick := guard(circuits)
		_ = quick.try(t, 5, errDown)
		others.Go(func() { _ = slow(t.Context(), &pipeline.Delivery{}) })
		<-begun
		release <- errDown // learned
		others.Wait()
		time.Sleep(32 * time.Second)
		others.Go(func() { _ = slow(t.Context(), &pipeline.Delivery{}) })
		<-begun
		for range 10 {
			if after := quick.assertWaits(t, "smtp"); after > time.Second {
				t.Errorf("again after %s while the probe runs", after)
			}
		}
		release <- nil
		others.Wait()
		if err := quick.try(t, 1, nil); err != nil {
			t.Errorf("the next probe: %v", err)
		}
	})
}

func TestWhatAProbeTells(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"success", nil, "closed"},
		{"plain error", errBoom, "closed"},
		{"permanent", function.Permanent(errBoom), "closed"},
		{"drop", function.Drop("seen"), "closed"},
		{"retry after", function.RetryAfter(time.Second, errBoom), "closed"},
		{"unavailable", errDown, "open"},
		{"unavailable, wrapped", fmt.Errorf("send: %w", errDown), "open"},
		{"another dependency", function.Unavailable("db", errBoom), "half-open"},
		{"wait", &function.WaitError{Err: errBoom}, "half-open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				circuits := newCircuits()
				g := guard(circuits)
				_ = g.try(t, 5, errDown)
				time.Sleep(32 * time.Second)
				_ = g.try(t, 3, tc.err)
				if got := circuits.States()["smtp"]; got != tc.want {
					t.Errorf("the circuit is %s, want %s", got, tc.want)
				}
			})
		})
	}
}

func TestAProbeThatIsGivenUpLeavesItsPlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(context.CancelFunc) error
	}{
		{"shutdown", func(cancel context.CancelFunc) error { cancel(); return context.Canceled }},
		{"shutdown, told as unavailable", func(cancel context.CancelFunc) error { cancel(); return errDown }},
		{"panic", func(context.CancelFunc) error { panic(errBoom) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				circuits := newCircuits()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				healthy := false
				attempt := middleware.Breaker(circuits)(func(context.Context, *pipeline.Delivery) error {
					switch {
					case healthy:
						return nil
					case circuits.States()["smtp"] == "half-open":
						return tc.end(cancel)
					default:
						return errDown
					}
				})
				for range 5 {
					_ = attempt(t.Context(), &pipeline.Delivery{})
				}
				time.Sleep(32 * time.Second)
				func() {
					defer func() { _ = recover() }()
					_ = attempt(ctx, &pipeline.Delivery{})
				}()
				healthy = true
				if err := attempt(t.Context(), &pipeline.Delivery{}); err != nil {
					t.Errorf("the place was not given back: %v", err)
				}
			})
		})
	}
}

func TestTheProbesPlaceIsGivenBackWhenAnotherCircuitIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		circuits := newCircuits()
		both, mails := guard(circuits), guard(circuits)
		_ = mails.try(t, 5, errDown)
		_ = both.try(t, 1, errDown)
		time.Sleep(20 * time.Second)
		db := function.Unavailable("db", errBoom)
		other := guard(circuits)
		_ = other.try(t, 5, db)
		// Learn db too: it is not called while smtp is open, so wait until that is half-open.
		time.Sleep(12 * time.Second)
		_ = both.try(t, 1, db)
		both.assertWaits(t, "db")
		if err := mails.try(t, 1, nil); err != nil {
			t.Errorf("the place of smtp's probe is held by an attempt that waits for db: %v", err)
		}
	})
}

func TestTheDependenciesOfAFunctionAreBounded(t *testing.T) {
	t.Parallel()
	circuits := newCircuits()
	g := guard(circuits)
	for i := range 1000 {
		err := g.try(t, 1, function.Unavailable(fmt.Sprintf("made up from data %d", i), errBoom))
		if !errors.Is(err, errBoom) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if n := len(circuits.States()); n != 16 {
		t.Errorf("%d circuits, want 16: one function must not fill the process's set", n)
	}
}

//nolint:paralleltest // testing.AllocsPerRun wants the processor for itself
func TestALearnedDependencyCostsNothingToOtherFunctions(t *testing.T) {
	circuits := newCircuits()
	mails, other := guard(circuits), guard(circuits)
	_ = mails.try(t, 1, errDown)
	d := &pipeline.Delivery{}
	if n := testing.AllocsPerRun(100, func() { _ = other.attempt(t.Context(), d) }); n != 0 {
		t.Errorf("%.0f allocations for an attempt without dependencies", n)
	}
}

func BenchmarkBreaker(b *testing.B) {
	for _, tc := range []struct {
		name string
		err  error
	}{{"no dependency", nil}, {"one dependency", errDown}} {
		b.Run(tc.name, func(b *testing.B) {
			g := guard(newCircuits())
			g.err = tc.err
			d := &pipeline.Delivery{}
			_ = g.attempt(b.Context(), d)
			g.err = nil
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				d := &pipeline.Delivery{}
				for pb.Next() {
					_ = g.attempt(b.Context(), d)
				}
			})
		})
	}
}

// outcomes are what a pipeline told.
type outcomes []pipeline.Outcome

func (o *outcomes) Observe(told *pipeline.Outcome) { *o = append(*o, *told) }

func TestAnAttemptThatACircuitDoesNotLetThroughIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told outcomes
		unmade := func(function.Lookup) (function.Handler, error) { return nil, errBoom }
		p, err := pipeline.New("group", []pipeline.Function{{
			Spec: function.Spec{Name: "mail", Topic: "in", New: unmade},
			Handler: function.Raw(func(context.Context, event.Event) ([]event.Event, error) {
				time.Sleep(time.Millisecond)
				return nil, errDown
			}, "placed"),
		}}, nil, nil, &pipeline.Options{
			Middleware: middleware.WithCircuits(newCircuits(), pipeline.Backoff{First: time.Second, Max: time.Minute}),
			Observers:  []pipeline.Observer{&told},
		})
		if err != nil {
			t.Fatal(err)
		}
		d := &pipeline.Delivery{Record: pipeline.Record{Topic: "in"}}
		for _, h := range [][2]string{{"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/test"}, {"ce_type", "placed"}} {
			d.Headers = append(d.Headers, kafkabinding.Header{Key: []byte(h[0]), Value: []byte(h[1])})
		}
		for i := range 6 {
			after, finished := p.Handle(t.Context(), d)
			if finished || d.Attempts != 0 || after <= 0 || d.Blocked() != (i == 5) {
				t.Errorf("call %d: finished %t, %d attempts spent, again after %s, blocked %t", i, finished, d.Attempts, after, d.Blocked())
			}
		}
		if made := told[4]; made.Attempt != 1 || made.Took != time.Millisecond {
			t.Errorf("an attempt that was made is told as attempt %d that took %s", made.Attempt, made.Took)
		}
		if waits := told[5]; waits.Verdict != function.Broken || waits.Attempt != 0 || waits.Took != 0 || waits.After < 30*time.Second {
			t.Errorf("an attempt that was not made is told as %s, attempt %d, took %s, again after %s",
				waits.Verdict, waits.Attempt, waits.Took, waits.After)
		}
	})
}
