package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	inType  = "test.in.v1"
	outType = "test.out.v1"
)

// line is a pipeline of one function, ship, with what it did. One goroutine at a time may use it.
type line struct {
	*pipeline.Pipeline

	handle  func(context.Context, event.Event) ([]event.Event, error)
	calls   int
	sent    []event.Event
	sendErr error
	letters []pipeline.Failure
	// writeErr is why dead letters are not written.
	writeErr error
	// last is what became of the last attempt.
	last pipeline.Outcome
}

func (l *line) Send(_ context.Context, outputs ...pipeline.Output) error {
	if l.sendErr != nil {
		return l.sendErr
	}
	for _, o := range outputs {
		l.sent = append(l.sent, o.Event)
	}
	return nil
}

func (l *line) Write(_ context.Context, f pipeline.Failure) error {
	if l.writeErr != nil {
		return l.writeErr
	}
	l.letters = append(l.letters, f)
	return nil
}

func (l *line) Observe(o *pipeline.Outcome) { l.last = *o }

// answer is a handler that returns two events.
func answer(context.Context, event.Event) ([]event.Event, error) {
	first, second := event.New(), event.New()
	first.SetType(outType)
	second.SetType(outType)
	second.SetDataContentType("text/plain")
	second.DataEncoded = []byte("two")
	return []event.Event{first, second}, nil
}

func shipSpec() function.Spec {
	return function.Spec{
		Name: "ship", Topic: "in", Emits: []string{outType}, Topics: map[string]string{outType: "out"}, Attempts: 3,
		New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") },
	}
}

// newLine returns a pipeline whose function remembers what it handled in what once returns.
func newLine(t testing.TB, once func(function.Spec) pipeline.Once) *line {
	t.Helper()
	l := &line{handle: answer}
	l.wire(t, once, l)
	return l
}

func (l *line) wire(t testing.TB, once func(function.Spec) pipeline.Once, sink pipeline.Sink) {
	t.Helper()
	handler := function.Raw(func(ctx context.Context, e event.Event) ([]event.Event, error) {
		l.calls++
		return l.handle(ctx, e)
	}, inType)
	var err error
	l.Pipeline, err = pipeline.New("group", []pipeline.Function{{Spec: shipSpec(), Handler: handler}}, sink, l, &pipeline.Options{
		Middleware: middleware.Standard(pipeline.Backoff{First: time.Millisecond, Max: time.Millisecond}),
		Observers:  []pipeline.Observer{l},
		Once:       once,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// on returns the hook of a pipeline on a store.
func on(store idempotency.Store) func(function.Spec) pipeline.Once {
	return func(spec function.Spec) pipeline.Once { return idempotency.New(store, spec) }
}

// delivery is a new delivery of the event with an id.
func delivery(id string) *pipeline.Delivery {
	d := &pipeline.Delivery{Record: pipeline.Record{Topic: "in", Offset: 42}}
	for _, h := range [][2]string{{"ce_specversion", "1.0"}, {"ce_id", id}, {"ce_source", "/test"}, {"ce_type", inType}} {
		d.Headers = append(d.Headers, kafkabinding.Header{Key: []byte(h[0]), Value: []byte(h[1])})
	}
	return d
}

// wantSent checks how often the answer to event a was published, the same each time.
func (l *line) wantSent(t *testing.T, times int) {
	t.Helper()
	if len(l.sent) != 2*times {
		t.Fatalf("%d events published, want %d", len(l.sent), 2*times)
	}
	for i, e := range l.sent {
		first := l.sent[i%2]
		if e.ID() != function.EmittedID("ship", "/test", "a", i%2) || e.String() != first.String() || !e.Time().Equal(first.Time()) {
			t.Errorf("published %s, first as %s", e, first)
		}
	}
}

func TestADuplicateIsHandledOnce(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		l := newLine(t, on(store))
		for range 3 {
			if _, finished := l.Handle(t.Context(), delivery("a")); !finished {
				t.Fatalf("not finished: %v", l.last.Err)
			}
		}
		l.wantSent(t, 1)
		if l.calls != 1 {
			t.Errorf("%d calls of the handler, want 1", l.calls)
		}
	})
}

func TestADuplicateOfAnEventWithoutAnswerIsHandledOnce(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		l := newLine(t, on(store))
		l.handle = func(context.Context, event.Event) ([]event.Event, error) { return nil, nil }
		for range 2 {
			if _, finished := l.Handle(t.Context(), delivery("a")); !finished {
				t.Fatalf("not finished: %v", l.last.Err)
			}
		}
		if l.calls != 1 || len(l.sent) != 0 {
			t.Errorf("%d calls, %d events, want 1 and 0", l.calls, len(l.sent))
		}
	})
}

func TestWhatCouldNotBePublishedIsPublishedByTheRetry(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		l := newLine(t, on(store))
		l.sendErr = errors.New("short of replicas")
		d := delivery("a")
		if _, finished := l.Handle(t.Context(), d); finished {
			t.Fatal("finished although nothing was published")
		}
		l.sendErr = nil
		if _, finished := l.Handle(t.Context(), d); !finished {
			t.Fatalf("not finished: %v", l.last.Err)
		}
		l.wantSent(t, 1)
		if l.calls != 1 {
			t.Errorf("%d calls of the handler, want 1", l.calls)
		}
	})
}

// silent is a store that never hears that something was published.
type silent struct{ idempotency.Store }

func (silent) Published(context.Context, idempotency.Key) error {
	return errors.New("connection reset")
}

// A process that dies right after it published leaves the same behind.
func TestAPublicationThatWasNotNotedIsRepeatedWithTheSameIDs(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		l := newLine(t, on(silent{store}))
		for range 2 {
			if _, finished := l.Handle(t.Context(), delivery("a")); !finished {
				t.Fatalf("not finished: %v", l.last.Err)
			}
		}
		l.wantSent(t, 2)
		if l.calls != 1 {
			t.Errorf("%d calls of the handler, want 1", l.calls)
		}
	})
}

func TestAFailureReleasesTheClaim(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, fails := range map[string]func() error{
		"plain":     func() error { return boom },
		"permanent": func() error { return function.Permanent(boom) },
		"drop":      func() error { return function.Drop("why not") },
		"broken":    func() error { return function.Unavailable("db", boom) },
		"panic":     func() error { panic(boom) },
		"output":    func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, all, func(t *testing.T, store idempotency.Store) {
				l := newLine(t, on(store))
				l.handle = func(context.Context, event.Event) ([]event.Event, error) {
					return []event.Event{event.New()}, fails()
				}
				l.Handle(t.Context(), delivery("a"))
				l.handle = answer
				if _, finished := l.Handle(t.Context(), delivery("a")); !finished || l.calls != 2 {
					t.Errorf("finished %t after %d calls: %v", finished, l.calls, l.last.Err)
				}
				l.wantSent(t, 1)
			})
		})
	}
}

func TestAnEventThatIsHeldWaitsAndSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		key := idempotency.Key{Function: "ship", Source: "/test", ID: "a"}
		token := claim(t, store, key, lease)
		l := newLine(t, on(store))
		d := delivery("a")
		for range 5 {
			again, finished := l.Handle(t.Context(), d)
			wait, ok := errors.AsType[*function.WaitError](l.last.Err)
			if finished || !ok || wait.Circuit != "" || again <= 0 || again > time.Second {
				t.Fatalf("finished %t, again after %s: %v", finished, again, l.last.Err)
			}
		}
		if d.Attempts != 0 || l.calls != 0 {
			t.Errorf("%d attempts, %d calls, want none", d.Attempts, l.calls)
		}
		check(t, "Complete", store.Complete(t.Context(), key, token, nil))
		if _, finished := l.Handle(t.Context(), d); !finished || l.calls != 0 {
			t.Errorf("finished %t after %d calls once the owner was done", finished, l.calls)
		}
	})
}

// A process that was paused for longer than its lease wakes up when another has taken over.
func TestALostLeaseKeepsTheResultBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := idempotency.NewMemory(nil)
		paused, other := newLine(t, on(store)), newLine(t, on(store))
		paused.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
			time.Sleep(function.DefaultTimeout + idempotency.Margin)
			if _, finished := other.Handle(t.Context(), delivery("a")); !finished {
				t.Errorf("the other: %v", other.last.Err)
			}
			return answer(ctx, e)
		}
		d := delivery("a")
		if _, finished := paused.Handle(t.Context(), d); finished || len(paused.sent) > 0 {
			t.Errorf("finished %t with %d events published after its lease was lost", finished, len(paused.sent))
		}
		if !errors.Is(paused.last.Err, idempotency.ErrLost) || paused.last.Verdict != function.Retry {
			t.Errorf("%s: %v", paused.last.Verdict, paused.last.Err)
		}
		if _, finished := paused.Handle(t.Context(), d); !finished || paused.calls != 1 || len(paused.sent) > 0 {
			t.Errorf("retry: finished %t, %d calls, %d events", finished, paused.calls, len(paused.sent))
		}
		other.wantSent(t, 1)
	})
}

// A handler that takes all of its time, and a bit, keeps its claim.
func TestALeaseOutlastsTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := idempotency.NewMemory(nil)
		slow, other := newLine(t, on(store)), newLine(t, on(store))
		slow.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
			time.Sleep(function.DefaultTimeout + idempotency.Margin/2)
			if _, finished := other.Handle(t.Context(), delivery("a")); finished || other.calls > 0 {
				t.Error("another owner took over")
			}
			return answer(ctx, e)
		}
		if _, finished := slow.Handle(t.Context(), delivery("a")); !finished {
			t.Errorf("not finished: %v", slow.last.Err)
		}
	})
}

// flaky is a store that fails to complete a number of times.
type flaky struct {
	idempotency.Store

	mu       sync.Mutex
	failures int
}

var errReset = errors.New("connection reset")

func (f *flaky) Complete(ctx context.Context, key idempotency.Key, token idempotency.Token, outcome []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failures > 0 {
		f.failures--
		return errReset
	}
	return f.Store.Complete(ctx, key, token, outcome)
}

func TestACompletionIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, on(&flaky{Store: idempotency.NewMemory(nil), failures: 3}))
		if _, finished := l.Handle(t.Context(), delivery("a")); !finished || l.calls != 1 {
			t.Errorf("finished %t after %d calls: %v", finished, l.calls, l.last.Err)
		}
	})
}

// When the process has to leave, or the attempt took too long, a success is remembered nevertheless.
func TestASuccessIsRememberedAfterItsContextEnded(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		l := newLine(t, on(store))
		ctx, leave := context.WithCancel(t.Context())
		l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
			leave()
			return answer(ctx, e)
		}
		l.sendErr = context.Canceled
		l.Handle(ctx, delivery("a"))
		l.sendErr = nil
		if _, finished := l.Handle(t.Context(), delivery("a")); !finished || l.calls != 1 {
			t.Errorf("finished %t after %d calls: %v", finished, l.calls, l.last.Err)
		}
		l.wantSent(t, 1)
	})
}

func TestAStoreThatDoesNotAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, on(&flaky{Store: idempotency.NewMemory(nil), failures: 1_000_000}))
		d := delivery("a")
		began := time.Now()
		_, finished := l.Handle(t.Context(), d)
		unavailable, ok := errors.AsType[*function.UnavailableError](l.last.Err)
		if finished || !ok || unavailable.Dependency != idempotency.Dependency || !errors.Is(unavailable, errReset) {
			t.Errorf("finished %t: %v", finished, l.last.Err)
		}
		if took := time.Since(began); took > idempotency.Margin/2 || d.Attempts != 0 {
			t.Errorf("gave up after %s, %d attempts spent", took, d.Attempts)
		}
	})
}

// garbled is a store whose outcomes another program wrote.
type garbled struct{ idempotency.Store }

func (garbled) Claim(context.Context, idempotency.Key, idempotency.Token, time.Duration) (idempotency.Entry, error) {
	return idempotency.Entry{State: idempotency.Completed, Outcome: []byte(`{"version":2}`)}, nil
}

func TestAnOutcomeThatCannotBeReadIsAFailure(t *testing.T) {
	t.Parallel()
	l := newLine(t, on(garbled{}))
	_, finished := l.Handle(t.Context(), delivery("a"))
	if finished || l.calls != 0 || l.last.Verdict != function.Retry || !strings.Contains(l.last.Err.Error(), `event "a" of "/test" for ship`) {
		t.Errorf("finished %t after %d calls: %v", finished, l.calls, l.last.Err)
	}
}
