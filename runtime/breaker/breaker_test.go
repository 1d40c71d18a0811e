package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefused = errors.New("connection refused")

func failing(context.Context) error    { return errRefused }
func succeeding(context.Context) error { return nil }

// quiet are the default options without a log.
func quiet() *breaker.Options { return &breaker.Options{Log: slog.New(slog.DiscardHandler)} }

// circuit returns the circuit of smtp.
func circuit(t *testing.T, o *breaker.Options) *breaker.Breaker {
	t.Helper()
	b, ok := breaker.NewSet(o).Breaker("smtp")
	if !ok {
		t.Fatal("an empty set has no room")
	}
	return b
}

// fail makes n calls that fail.
func fail(t *testing.T, b *breaker.Breaker, n int) {
	t.Helper()
	for range n {
		if err := b.Do(t.Context(), failing); !errors.Is(err, errRefused) {
			t.Fatalf("Do() = %v, want the call's own failure", err)
		}
	}
}

func assertState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("the circuit is %s, want %s", got, want)
	}
}

// assertRefused makes a call that must not go through, and returns why.
func assertRefused(t *testing.T, b *breaker.Breaker) *breaker.OpenError {
	t.Helper()
	err := b.Do(t.Context(), func(context.Context) error {
		t.Error("the call went through")
		return nil
	})
	var (
		wait *function.WaitError
		open *breaker.OpenError
	)
	if !errors.As(err, &wait) || !errors.As(err, &open) {
		t.Fatalf("Do() = %v, want a WaitError of an OpenError", err)
	}
	if function.VerdictOf(err) != function.Broken || wait.Circuit != b.Dependency() || wait.After != open.After || wait.After <= 0 {
		t.Errorf("verdict %s, circuit %q, after %s and %s", function.VerdictOf(err), wait.Circuit, wait.After, open.After)
	}
	return open
}

func TestFiveFailuresInARowOpenTheCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		fail(t, b, 4)
		assertState(t, b, breaker.Closed)
		fail(t, b, 1)
		assertState(t, b, breaker.Open)
		stats := b.Stats()
		if stats.Failures != 5 || stats.Openings != 1 || !stats.Opened.Equal(time.Now()) || !stats.NextProbe.Equal(time.Now().Add(30*time.Second)) {
			t.Errorf("stats %+v", stats)
		}
	})
}

func TestASuccessStartsTheCountOfFailuresAgain(t *testing.T) {
	t.Parallel()
	b := circuit(t, quiet())
	for range 10 {
		fail(t, b, 4)
		if err := b.Do(t.Context(), succeeding); err != nil {
			t.Fatal(err)
		}
	}
	assertState(t, b, breaker.Closed)
	if stats := b.Stats(); stats.Failures != 40 || stats.Successes != 10 || stats.ConsecutiveFailures != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestFailuresOpenTheCircuitOnlyWithinTheMonitoringPeriod(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		apart time.Duration
		want  breaker.State
	}{
		{"within", 2500 * time.Millisecond, breaker.Open},
		{"slower", 2501 * time.Millisecond, breaker.Closed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := circuit(t, quiet())
				for range 20 {
					if b.State() == breaker.Closed {
						fail(t, b, 1)
						time.Sleep(tc.apart)
					}
				}
				assertState(t, b, tc.want)
			})
		})
	}
}

func TestAnOpenCircuitLetsNoCallThroughUntilTheRecoveryTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		fail(t, b, 5)
		for left := 30 * time.Second; left > 0; left -= time.Second {
			open := assertRefused(t, b)
			if open.State != breaker.Open || open.After <= left || open.After > left+30*time.Second/20+1 {
				t.Fatalf("%s, again after %s with %s left", open.State, open.After, left)
			}
			if want := "the circuit of smtp is open; its last failure: smtp is unavailable: connection refused"; open.Error() != want {
				t.Fatalf("error %q, want %q", open, want)
			}
			time.Sleep(time.Second)
		}
		open := assertRefused(t, b)
		time.Sleep(open.After)
		assertState(t, b, breaker.HalfOpen)
	})
}

func TestThreeProbesInARowCloseTheCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		fail(t, b, 5)
		time.Sleep(31 * time.Second)
		for range 3 {
			assertState(t, b, breaker.HalfOpen)
			if err := b.Do(t.Context(), succeeding); err != nil {
				t.Fatal(err)
			}
		}
		assertState(t, b, breaker.Closed)
		if stats := b.Stats(); !stats.Opened.IsZero() || !stats.NextProbe.IsZero() {
			t.Errorf("stats %+v", stats)
		}
		fail(t, b, 4)
		assertState(t, b, breaker.Closed)
	})
}

func TestAProbeThatFailsOpensTheCircuitAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		fail(t, b, 5)
		time.Sleep(31 * time.Second)
		for range 2 {
			if err := b.Do(t.Context(), succeeding); err != nil {
				t.Fatal(err)
			}
		}
		fail(t, b, 1)
		if open := assertRefused(t, b); open.After < 30*time.Second {
			t.Errorf("again after %s, before the next probe", open.After)
		}
	})
}

func TestOneProbeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		fail(t, b, 5)
		time.Sleep(31 * time.Second)
		probe, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if open := assertRefused(t, b); open.State != breaker.HalfOpen || open.After < 250*time.Millisecond || open.After > 500*time.Millisecond {
				t.Fatalf("%s, again after %s", open.State, open.After)
			}
		}
		probe.Succeed()
		if err := b.Do(t.Context(), succeeding); err != nil {
			t.Errorf("the next probe: %v", err)
		}
	})
}

func TestACallThatToldNothingGivesTheProbesPlaceBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		call func(*testing.T, *breaker.Breaker)
	}{
		{"cancelled context", func(t *testing.T, b *breaker.Breaker) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			err := b.Do(ctx, func(ctx context.Context) error { cancel(); return ctx.Err() })
			if !errors.Is(err, context.Canceled) || function.VerdictOf(err) != function.Retry {
				t.Errorf("Do() = %v", err)
			}
		}},
		{"panic", func(t *testing.T, b *breaker.Breaker) {
			t.Helper()
			defer func() {
				if v := recover(); v != any("boom") {
					t.Errorf("recovered %v", v)
				}
			}()
			_ = b.Do(t.Context(), func(context.Context) error { panic("boom") })
		}},
		{"wait for something else", func(t *testing.T, b *breaker.Breaker) {
			t.Helper()
			_ = b.Do(t.Context(), func(context.Context) error { return &function.WaitError{Err: errRefused} })
		}},
		{"another dependency is down", func(t *testing.T, b *breaker.Breaker) {
			t.Helper()
			_ = b.Do(t.Context(), func(context.Context) error { return function.Unavailable("db", errRefused) })
		}},
		{"cancelled call", func(t *testing.T, b *breaker.Breaker) {
			t.Helper()
			call, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			call.Cancel()
			call.Fail(errRefused)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := circuit(t, quiet())
				fail(t, b, 5)
				time.Sleep(31 * time.Second)
				for range 10 {
					tc.call(t, b)
				}
				assertState(t, b, breaker.HalfOpen)
				for range 3 {
					if err := b.Do(t.Context(), succeeding); err != nil {
						t.Fatal(err)
					}
				}
				assertState(t, b, breaker.Closed)
			})
		})
	}
}

func TestACallThatBeganBeforeTheChangeIsNotCountedAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		var early []*breaker.Call
		for range 10 {
			call, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			early = append(early, call)
		}
		fail(t, b, 5)
		time.Sleep(31 * time.Second)
		probe, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		for i, call := range early {
			if i%2 == 0 {
				call.Fail(errRefused)
			} else {
				call.Succeed()
			}
		}
		assertState(t, b, breaker.HalfOpen)
		_ = assertRefused(t, b)
		probe.Fail(errRefused)
		assertState(t, b, breaker.Open)
	})
}

func TestExpectedErrorsAreSuccesses(t *testing.T) {
	t.Parallel()
	errMissing := errors.New("404")
	for _, tc := range []struct {
		name     string
		err      error
		expected bool
	}{
		{"nothing", nil, true},
		{"listed", fmt.Errorf("get: %w", errMissing), true},
		{"permanent", function.Permanent(errRefused), true},
		{"drop", function.Drop("not ours"), true},
		{"plain", errRefused, false},
		{"retry after", function.RetryAfter(time.Second, errRefused), false},
		{"unavailable", function.Unavailable("smtp", errRefused), false},
		{"time-out", context.DeadlineExceeded, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := quiet()
			o.ExpectedErrors = []error{errMissing}
			b := circuit(t, o)
			err := b.Do(t.Context(), func(context.Context) error { return tc.err })
			if !errors.Is(err, tc.err) {
				t.Errorf("Do() = %v, which does not wrap %v", err, tc.err)
			}
			stats, unavailable := b.Stats(), function.VerdictOf(err) == function.Broken
			if (stats.Successes == 1) != tc.expected || (stats.Failures == 1) == tc.expected || unavailable == tc.expected {
				t.Errorf("%d successes, %d failures, error %v", stats.Successes, stats.Failures, err)
			}
			if err != nil && strings.Count(err.Error(), "unavailable") > 1 {
				t.Errorf("wrapped twice: %v", err)
			}
		})
	}
}

func TestConcurrentCallsMeetOneProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := circuit(t, quiet())
		fail(t, b, 5)
		time.Sleep(31 * time.Second)
		var (
			running, passed atomic.Int64
			all             sync.WaitGroup
		)
		for range 64 {
			all.Go(func() {
				_ = b.Do(t.Context(), func(context.Context) error {
					if n := running.Add(1); n > 1 {
						t.Errorf("%d probes at the same time", n)
					}
					time.Sleep(time.Second)
					running.Add(-1)
					passed.Add(1)
					return nil
				})
			})
		}
		all.Wait()
		if passed.Load() != 1 {
			t.Errorf("%d calls went through, want the probe", passed.Load())
		}
	})
}
