package idempotency_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// inTransaction returns the hook of a pipeline on a SQL store.
func inTransaction(store idempotency.Store) func(function.Spec) pipeline.Once {
	return func(spec function.Spec) pipeline.Once {
		return idempotency.NewInTransaction(store.(*idempotency.SQL), spec)
	}
}

// ledger is a pipeline whose handler writes each event into the table effects.
type ledger struct {
	*line

	store idempotency.Store
}

// effect is what the handler does, in the transaction where there is one.
func effect(ctx context.Context, e event.Event) error {
	tx, ok := function.Transaction(ctx)
	if !ok {
		return errors.New("no transaction")
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES ($1)", e.ID())
	return err
}

// eachSQL runs a test on each SQL store.
func eachSQL(t *testing.T, test func(*testing.T, *ledger)) {
	t.Helper()
	for _, k := range shared[:2] {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			l := &ledger{store: k.opened(t, k.place(t), retention)}
			l.line = newLine(t, inTransaction(l.store))
			l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
				if err := effect(ctx, e); err != nil {
					return nil, err
				}
				return answer(ctx, e)
			}
			l.within(t, "CREATE TABLE effects (id text)")
			test(t, l)
		})
	}
}

// within runs a statement in a transaction of its own.
func (l *ledger) within(t *testing.T, statement string) {
	t.Helper()
	tx, _, err := l.store.(*idempotency.SQL).Begin(t.Context(), idempotency.Key{Function: "test", ID: statement}, lease)
	check(t, "Begin", err)
	_, err = tx.SQL().ExecContext(t.Context(), statement)
	check(t, statement, err)
	check(t, "Complete", tx.Complete(t.Context(), nil))
}

func (l *ledger) wantEffects(t *testing.T, want int) {
	t.Helper()
	var got int
	tx, _, err := l.store.(*idempotency.SQL).Begin(t.Context(), idempotency.Key{Function: "count"}, lease)
	check(t, "Begin", err)
	defer func() { check(t, "Rollback", tx.Rollback(idempotency.Uncounted)) }()
	check(t, "count", tx.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM effects").Scan(&got))
	if got != want {
		t.Errorf("%d effects, want %d", got, want)
	}
}

func TestAnEffectInTheTransactionIsThereOnce(t *testing.T) {
	t.Parallel()
	eachSQL(t, func(t *testing.T, l *ledger) {
		for range 3 {
			if _, finished := l.Handle(t.Context(), delivery("a")); !finished {
				t.Fatalf("not finished: %v", l.last.Err)
			}
		}
		l.wantSent(t, 1)
		l.wantEffects(t, 1)
		if l.calls != 1 {
			t.Errorf("%d calls of the handler, want 1", l.calls)
		}
	})
}

// The effect is committed before the events are published: what fails there is made up for without another effect.
func TestAnEffectIsThereOnceWhenPublishingFails(t *testing.T) {
	t.Parallel()
	eachSQL(t, func(t *testing.T, l *ledger) {
		l.sendErr = errors.New("short of replicas")
		d := delivery("a")
		l.Handle(t.Context(), d)
		l.wantEffects(t, 1)
		l.sendErr = nil
		if _, finished := l.Handle(t.Context(), d); !finished {
			t.Fatalf("not finished: %v", l.last.Err)
		}
		l.wantSent(t, 1)
		l.wantEffects(t, 1)
	})
}

// errCrash stands for what ends an attempt after its effect, before anything is completed.
var errCrash = errors.New("the process dies")

func TestAFailureAfterTheEffectLeavesNone(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]func(context.CancelFunc) ([]event.Event, error){
		"error":  func(context.CancelFunc) ([]event.Event, error) { return nil, errCrash },
		"panic":  func(context.CancelFunc) ([]event.Event, error) { panic(errCrash) },
		"output": func(context.CancelFunc) ([]event.Event, error) { return []event.Event{event.New()}, nil },
		"leave": func(leave context.CancelFunc) ([]event.Event, error) {
			leave()
			return nil, context.Canceled
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSQL(t, func(t *testing.T, l *ledger) {
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				whole := l.handle
				l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
					if err := effect(ctx, e); err != nil {
						t.Error(err)
					}
					return crash(leave)
				}
				l.Handle(ctx, delivery("a"))
				l.wantEffects(t, 0)
				l.handle = whole
				if _, finished := l.Handle(t.Context(), delivery("a")); !finished {
					t.Fatalf("not finished: %v", l.last.Err)
				}
				l.wantEffects(t, 1)
			})
		})
	}
}

// Without the transaction a crash between effect and completion has the handler called again: effects that are not its own
// business to repeat belong into the transaction.
func TestAnEffectOutsideOfTheTransactionIsRepeatedAfterACrash(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		effects := 0
		died := newLine(t, on(deaf{store}))
		died.handle = func(context.Context, event.Event) ([]event.Event, error) {
			effects++
			return nil, errCrash
		}
		died.Handle(t.Context(), delivery("a"))
		next := newLine(t, on(store))
		next.handle = func(context.Context, event.Event) ([]event.Event, error) {
			effects++
			return nil, nil
		}
		runtimetest.Eventually(t, "the end of the dead owner's lease", func() bool {
			_, finished := next.Handle(t.Context(), delivery("a"))
			return finished
		})
		if effects != 2 {
			t.Errorf("%d effects", effects)
		}
	})
}

// deaf is the store of a process that dies: it claims, for a moment, and never completes nor releases.
type deaf struct{ idempotency.Store }

func (d deaf) Claim(ctx context.Context, key idempotency.Key, token idempotency.Token, _ time.Duration) (idempotency.Entry, error) {
	return d.Store.Claim(ctx, key, token, 100*time.Millisecond)
}

func (deaf) Release(context.Context, idempotency.Key, idempotency.Token, idempotency.End) error {
	return errCrash
}

// While one handler runs in its transaction, another delivery of its event waits, and no attempt is spent. In SQLite all
// others wait.
func TestATransactionKeepsOthersOut(t *testing.T) {
	t.Parallel()
	eachSQL(t, func(t *testing.T, l *ledger) {
		for name, hook := range map[string]func(idempotency.Store) func(function.Spec) pipeline.Once{
			"in a transaction": inTransaction, "without": on,
		} {
			other := newLine(t, hook(l.store))
			whole := l.handle
			l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
				d := delivery(name)
				_, finished := other.Handle(t.Context(), d)
				if _, waits := errors.AsType[*function.WaitError](other.last.Err); finished || !waits || other.calls > 0 || d.Attempts != 0 {
					t.Errorf("%s: finished %t, %d calls, %d attempts: %v", name, finished, other.calls, d.Attempts, other.last.Err)
				}
				return whole(ctx, e)
			}
			if _, finished := l.Handle(t.Context(), delivery(name)); !finished {
				t.Errorf("%s: %v", name, l.last.Err)
			}
			l.handle = whole
			if _, finished := other.Handle(t.Context(), delivery(name)); !finished || other.calls > 0 {
				t.Errorf("%s: afterwards finished %t, %d calls: %v", name, finished, other.calls, other.last.Err)
			}
		}
	})
}

// What a handler does to its transaction is its own failure: it is retried and dead-lettered, not waited for.
func TestAHandlerThatSpoilsItsTransactionFails(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(context.Context, *sql.Tx){
		"commits":     func(_ context.Context, tx *sql.Tx) { _ = tx.Commit() },
		"rolls back":  func(_ context.Context, tx *sql.Tx) { _ = tx.Rollback() },
		"leaves rows": func(ctx context.Context, tx *sql.Tx) { _, _ = tx.QueryContext(ctx, "SELECT 1") }, //nolint:rowserrcheck,sqlclosecheck // the mistake that is tested
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSQL(t, func(t *testing.T, l *ledger) {
				l.handle = func(ctx context.Context, _ event.Event) ([]event.Event, error) {
					tx, _ := function.Transaction(ctx)
					spoil(ctx, tx)
					return nil, nil
				}
				_, finished := l.Handle(t.Context(), delivery("a"))
				if !finished && l.last.Verdict != function.Retry {
					t.Errorf("%s: %v", l.last.Verdict, l.last.Err)
				}
			})
		})
	}
	t.Run("hides a failed statement", func(t *testing.T) {
		t.Parallel()
		l := newLine(t, inTransaction(shared[1].opened(t, shared[1].place(t), retention)))
		l.handle = func(ctx context.Context, _ event.Event) ([]event.Event, error) {
			tx, _ := function.Transaction(ctx)
			_, _ = tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
			return nil, nil
		}
		if _, finished := l.Handle(t.Context(), delivery("a")); finished || l.last.Verdict != function.Retry {
			t.Errorf("finished %t, %s: %v", finished, l.last.Verdict, l.last.Err)
		}
	})
}

// A statement that the attempt's time-out cuts short takes the connection with it. That is the handler's failure, too.
func TestAHandlerThatHidesItsTimeoutFails(t *testing.T) {
	t.Parallel()
	store := shared[1].opened(t, shared[1].place(t), retention)
	spec, err := shipSpec().Complete()
	check(t, "Spec", err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, err = inTransaction(store)(spec).Do(ctx, &pipeline.Delivery{Event: event.New()}, func(ctx context.Context, _ *pipeline.Delivery) ([]event.Event, error) {
		tx, _ := function.Transaction(ctx)
		_, _ = tx.ExecContext(ctx, "SELECT pg_sleep(60)")
		return nil, nil
	})
	if function.VerdictOf(err) != function.Retry {
		t.Errorf("Do() = %v, want a plain error", err)
	}
}

// Another process holds the database: beginning is given up when its context ends.
func TestBeginEndsWithItsContext(t *testing.T) {
	t.Parallel()
	place := shared[0].place(t)
	holder := shared[0].opened(t, place, retention).(*idempotency.SQL)
	waiter := shared[0].opened(t, place, retention).(*idempotency.SQL)
	held, _, err := holder.Begin(t.Context(), order, lease)
	check(t, "Begin", err)
	defer func() { check(t, "Rollback", held.Rollback(idempotency.Uncounted)) }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err = waiter.Begin(ctx, order, lease)
	if took := time.Since(began); err == nil || took > 4*time.Second {
		t.Errorf("Begin() = %v after %s", err, took)
	}
}

// The server ends the transaction of a process that is paused for longer than its lease, so that another gets on.
func TestAnIdleTransactionIsLost(t *testing.T) {
	t.Parallel()
	store := shared[1].opened(t, shared[1].place(t), retention).(*idempotency.SQL)
	paused, _, err := store.Begin(t.Context(), order, 100*time.Millisecond)
	check(t, "Begin", err)
	runtimetest.Eventually(t, "the end of the transaction", func() bool {
		other, _, err := store.Begin(t.Context(), order, lease)
		if err != nil {
			return false
		}
		return other.Rollback(idempotency.Uncounted) == nil
	})
	if err := paused.Complete(t.Context(), nil); err == nil {
		t.Error("a transaction that the server ended was completed")
	}
}
