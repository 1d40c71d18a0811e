package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// An invocation knows nothing of those before it: each has a pipeline of its own, and deliveries that were never attempted.
// The function of these tests may be called three times.

// hook is a way of remembering events.
type hook = func(idempotency.Store) func(function.Spec) pipeline.Once

// eachHook runs a test with each store and each way of using it.
func eachHook(t *testing.T, test func(t *testing.T, store idempotency.Store, remember hook)) {
	t.Helper()
	each(t, all, func(t *testing.T, store idempotency.Store) { test(t, store, on) })
	for _, k := range shared[:2] {
		t.Run(k.name+" in a transaction", func(t *testing.T) {
			t.Parallel()
			test(t, k.opened(t, k.place(t), retention), inTransaction)
		})
	}
}

var errBoom = errors.New("boom")

// fails is a handler that always fails.
func fails(context.Context, event.Event) ([]event.Event, error) { return nil, errBoom }

// invoke makes one attempt at event a, in an invocation of its own.
func invoke(t *testing.T, once func(function.Spec) pipeline.Once, handle func(context.Context, event.Event) ([]event.Event, error)) *line {
	t.Helper()
	l := newLine(t, once)
	l.handle = handle
	l.Handle(t.Context(), delivery("a"))
	return l
}

// wantLetter checks that the last attempt of l made a dead letter, after so many calls in all.
func (l *line) wantLetter(t *testing.T, calls, attempts int) {
	t.Helper()
	if l.calls != calls || len(l.letters) != 1 || l.letters[0].Class != function.ClassExhausted || l.letters[0].Attempts != attempts {
		t.Errorf("%d calls, dead letters %+v, want %d calls and a letter that tells of %d attempts: %v", l.calls, l.letters, calls, attempts, l.last.Err)
	}
}

func (l *line) wantRetry(t *testing.T) {
	t.Helper()
	if l.calls != 1 || len(l.letters) > 0 || l.last.Verdict != function.Retry {
		t.Fatalf("%d calls, dead letters %v, %s: %v", l.calls, l.letters, l.last.Verdict, l.last.Err)
	}
}

func TestAttemptsCarryOverToTheNextInvocation(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		for range 2 { // the second time as a replay of the dead letter, which has its attempts anew
			before := time.Now().Truncate(time.Millisecond)
			invoke(t, remember(store), fails).wantRetry(t)
			after := time.Now().Add(time.Millisecond)
			invoke(t, remember(store), fails).wantRetry(t)
			last := invoke(t, remember(store), fails)
			last.wantLetter(t, 1, 3)
			if first := last.letters[0].First; first.Before(before) || first.After(after) {
				t.Errorf("first failure at %s, want between %s and %s", first, before, after)
			}
		}
		l := invoke(t, remember(store), answer)
		l.wantSent(t, 1)
	})
}

// The dead letter topic is away when the last attempt has failed.
func TestAnInvocationBuriesWhatTheOneBeforeCouldNot(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		for range 2 {
			invoke(t, remember(store), fails).wantRetry(t)
		}
		for n := range 3 {
			l := newLine(t, remember(store))
			l.handle, l.writeErr = fails, errBoom
			if _, finished := l.Handle(t.Context(), delivery("a")); finished || l.calls != max(0, 1-n) {
				t.Errorf("finished %t after %d calls although its dead letter is not written", finished, l.calls)
			}
		}
		invoke(t, remember(store), fails).wantLetter(t, 0, 3)
		invoke(t, remember(store), fails).wantRetry(t)
	})
}

func TestWhatIsNoAttemptDoesNotCountInTheNextInvocation(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		for range 5 {
			l := invoke(t, remember(store), func(context.Context, event.Event) ([]event.Event, error) {
				return nil, function.Unavailable("database", errBoom)
			})
			if l.last.Verdict != function.Broken {
				t.Fatalf("%s: %v", l.last.Verdict, l.last.Err)
			}
			leaving := newLine(t, remember(store))
			ctx, leave := context.WithCancel(t.Context())
			leaving.handle = func(context.Context, event.Event) ([]event.Event, error) {
				leave()
				return nil, context.Canceled
			}
			leaving.Handle(ctx, delivery("a"))
			if leaving.calls != 1 {
				t.Fatalf("%d calls: %v", leaving.calls, leaving.last.Err)
			}
			panicking := newLine(t, remember(store))
			ctx, leave = context.WithCancel(t.Context())
			panicking.handle = func(context.Context, event.Event) ([]event.Event, error) {
				leave()
				panic(errBoom)
			}
			panicking.Handle(ctx, delivery("a"))
		}
		for range 2 {
			invoke(t, remember(store), fails).wantRetry(t)
		}
		invoke(t, remember(store), fails).wantLetter(t, 1, 3)
	})
}

func TestAFailureOfAnyKindCountsInTheNextInvocation(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(context.Context, event.Event) ([]event.Event, error){
		"plain":    fails,
		"panic":    func(context.Context, event.Event) ([]event.Event, error) { panic(errBoom) },
		"time-out": func(context.Context, event.Event) ([]event.Event, error) { return nil, context.DeadlineExceeded },
		"later": func(context.Context, event.Event) ([]event.Event, error) {
			return nil, function.RetryAfter(time.Hour, errBoom)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
				for range 2 {
					invoke(t, remember(store), fails).wantRetry(t)
				}
				invoke(t, remember(store), fails).wantLetter(t, 1, 3)
			})
		})
	}
}

// The attempt's own time-out counts, the end of the invocation does not.
func TestADeadlineCountsOnlyWhereItIsTheAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := idempotency.NewMemory(nil)
		outlast := func(ctx context.Context, _ event.Event) ([]event.Event, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for range 5 {
			l := newLine(t, on(store))
			l.handle = outlast
			ctx, cancel := context.WithTimeout(t.Context(), function.DefaultTimeout/2)
			l.Handle(ctx, delivery("a"))
			cancel()
			if l.calls != 1 || len(l.letters) > 0 {
				t.Fatalf("%d calls, dead letters %v", l.calls, l.letters)
			}
		}
		began := time.Now()
		for range 2 {
			invoke(t, on(store), outlast).wantRetry(t)
		}
		last := invoke(t, on(store), outlast)
		last.wantLetter(t, 1, 3)
		if want := began.Add(function.DefaultTimeout); !last.letters[0].First.Equal(want) {
			t.Errorf("first failure at %s, want %s", last.letters[0].First, want)
		}
	})
}

// What is dropped is finished: however often it comes again, it is no failure.
func TestADroppedEventMayComeAgain(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		for range 5 {
			l := invoke(t, remember(store), func(context.Context, event.Event) ([]event.Event, error) {
				return nil, function.Drop("seen before")
			})
			if l.calls != 1 || l.last.Verdict != function.Dropped {
				t.Fatalf("%d calls, %s: %v", l.calls, l.last.Verdict, l.last.Err)
			}
		}
	})
}

// crashes makes an attempt at event a whose process dies in the handler: nobody hears of it any more, and its lease ends
// soon.
func crashes(t *testing.T, store idempotency.Store) {
	t.Helper()
	l := newLine(t, on(deaf{store}))
	ctx, die := context.WithCancel(t.Context())
	l.handle = func(context.Context, event.Event) ([]event.Event, error) {
		die()
		return nil, errCrash
	}
	await(ctx, t, l)
	if l.calls != 1 || len(l.letters) > 0 {
		t.Fatalf("%d calls, dead letters %v: %v", l.calls, l.letters, l.last.Err)
	}
}

// await makes attempts at event a until the handler is called or the event finished: its claim may be held.
func await(ctx context.Context, t *testing.T, l *line) {
	t.Helper()
	d := delivery("a")
	runtimetest.Eventually(t, "an attempt", func() bool {
		_, finished := l.Handle(ctx, d)
		return finished || l.calls > 0
	})
}

// An event takes its process with it each time. It is called as often as it may be, and once more, for it might be another's
// fault; then it is a dead letter.
func TestACrashLoopEnds(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		for range 4 {
			crashes(t, store)
		}
		l := newLine(t, on(store))
		await(t.Context(), t, l)
		l.wantLetter(t, 0, 4)
	})
}

// Where a failure is known, a call that ended with its process is an attempt like any other.
func TestACrashCountsAsAnAttempt(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		crashes(t, store)
		failed := newLine(t, on(store))
		failed.handle = fails
		await(t.Context(), t, failed)
		failed.wantRetry(t)
		crashes(t, store)
		l := newLine(t, on(store))
		await(t.Context(), t, l)
		l.wantLetter(t, 0, 3)
	})
}

// Processes crashed around an event: it is called, and its success counts.
func TestAnEventThatNeverFailedIsCalledOnceMore(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		for range 3 {
			crashes(t, store)
		}
		l := newLine(t, on(store))
		await(t.Context(), t, l)
		l.wantSent(t, 1)
	})
}

// A door suspects that the last attempt was under way when its process died. It was, and it succeeded.
func TestASuspectThatIsDoneIsNoDeadLetter(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		died := newLine(t, remember(store))
		died.sendErr = errBoom
		died.Handle(t.Context(), delivery("a"))
		l := newLine(t, remember(store))
		d := delivery("a")
		d.Attempts, d.Suspected = 2, 1
		if _, finished := l.Handle(t.Context(), d); !finished || l.calls > 0 || len(l.letters) > 0 {
			t.Errorf("finished %t, %d calls, dead letters %v: %v", finished, l.calls, l.letters, l.last.Err)
		}
		l.wantSent(t, 1)
	})
}

// A suspect that is not done is buried as before.
func TestASuspectIsBuried(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		l := newLine(t, remember(store))
		d := delivery("a")
		d.Attempts, d.Suspected = 2, 1
		l.Handle(t.Context(), d)
		l.wantLetter(t, 0, 2)
	})
}

// An event lies at two offsets. Its deliveries share the attempts until one of them is a dead letter.
func TestDeliveriesOfOneEventShareTheirAttempts(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		l := newLine(t, remember(store))
		l.handle = fails
		first, second := delivery("a"), delivery("a")
		second.Offset++
		l.Handle(t.Context(), first)
		l.Handle(t.Context(), second)
		if _, finished := l.Handle(t.Context(), first); !finished {
			t.Errorf("not finished: %v", l.last.Err)
		}
		l.wantLetter(t, 3, 3)
		if second.Attempts != 2 {
			t.Errorf("the other counts %d attempts, want 2", second.Attempts)
		}
	})
}

// deafToForget is a store that is away when the dead letter is written.
type deafToForget struct{ idempotency.Store }

func (deafToForget) Forget(context.Context, idempotency.Key) error { return errReset }

func TestADeadLetterWhoseAttemptsCannotBeForgottenIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, on(deafToForget{idempotency.NewMemory(nil)}))
		l.handle = func(context.Context, event.Event) ([]event.Event, error) { return nil, function.Permanent(errBoom) }
		began := time.Now()
		_, finished := l.Handle(t.Context(), delivery("a"))
		if !finished || len(l.letters) != 1 || l.last.Verdict != function.DeadLetter || !errors.Is(l.last.Err, errReset) || !errors.Is(l.last.Err, errBoom) {
			t.Errorf("finished %t, %d dead letters, %s: %v", finished, len(l.letters), l.last.Verdict, l.last.Err)
		}
		if took := time.Since(began); took > idempotency.Margin/2 {
			t.Errorf("gave up after %s", took)
		}
	})
}

// Invocations fail in whichever way. The handler is never called more often than it may be, and one dead letter is written.
func TestInvocationsNeverCallTooOften(t *testing.T) {
	t.Parallel()
	eachHook(t, func(t *testing.T, store idempotency.Store, remember hook) {
		rapid.Check(t, func(r *rapid.T) {
			id, calls := uuid.NewString(), 0
			for letters := 0; letters == 0; {
				l := newLine(t, remember(store))
				ctx, leave := context.WithCancel(t.Context())
				attempt := 0 // drawn outside of the handler, whose panics are recovered from
				l.handle = func(context.Context, event.Event) ([]event.Event, error) {
					switch attempt {
					case 0:
						return nil, function.Unavailable("database", errBoom)
					case 1:
						leave()
						return nil, context.Canceled
					}
					calls++
					return nil, errBoom
				}
				if rapid.Bool().Draw(r, "without dead letters") {
					l.writeErr = errBoom
				}
				d := delivery(id)
				finished := false
				for range rapid.IntRange(1, 3).Draw(r, "attempts") {
					if ctx.Err() == nil && !finished {
						attempt = rapid.IntRange(0, 4).Draw(r, "attempt")
						_, finished = l.Handle(ctx, d)
					}
				}
				leave()
				letters = len(l.letters)
				if calls > 3 || letters > 0 && (calls != 3 || l.letters[0].Attempts != 3) {
					r.Fatalf("%d calls, dead letters %+v", calls, l.letters)
				}
			}
		})
	})
}
