package projection_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
	"github.com/millrace/millrace/runtime/projection"
)

func TestCatchUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		view := s.project(t, ledger(), &projection.Options{Batch: 3})
		s.check(t, ledger())
		for i := range 10 {
			s.append(t, fmt.Sprint("s-", i%3), fmt.Sprint("event ", i))
		}
		mustCatchUp(t, view)
		s.check(t, ledger())

		// Another process goes on where this one ended.
		other := p.opened(t, nil)
		other.append(t, "s-1", "event 10")
		mustCatchUp(t, other.project(t, ledger(), nil))
		mustCatchUp(t, view)
		s.check(t, ledger())
	})
}

// The first projection of a store that has events answers when it has read them all, not before.
func TestAFirstGenerationIsBuiltBeforeItIsRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		reader := projection.NewReader(s.db, ledger())
		if _, err := lines(t.Context(), reader); !isNotBuilt(err) {
			t.Errorf("without a projection: %v", err)
		}
		s.append(t, "s", "a", "b", "c")
		view := s.project(t, ledger(), nil)
		if _, err := lines(t.Context(), reader); !isNotBuilt(err) {
			t.Errorf("before it caught up: %v", err)
		}
		if err := run(t, view); err != nil {
			t.Fatal(err)
		}
		s.check(t, ledger())
	})
}

// Several processes follow at once, while others write: each event is applied once, in its turn.
func TestFollowersAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const writers, followers, events = 4, 3, 100
		s := p.opened(t, nil)
		var following, writing sync.WaitGroup
		over := make(chan struct{})
		for range followers {
			view := p.opened(t, nil).project(t, ledger(), &projection.Options{Batch: 7})
			following.Go(func() {
				for done := false; !done; {
					select {
					case <-over:
						done = true
					default:
					}
					if err := run(t, view); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for w := range writers {
			writing.Go(func() {
				for i := range events {
					s.append(t, fmt.Sprint("s-", w), fmt.Sprint(w, "-", i))
				}
			})
		}
		writing.Wait()
		close(over)
		following.Wait()
		s.check(t, ledger())
	})
}

// An event with a lower position whose transaction commits late is not passed by.
func TestALateCommitIsNotSkipped(t *testing.T) {
	t.Parallel()
	s := place{database.Postgres, server.Database(t)}.opened(t, nil)
	view := s.project(t, ledger(), nil)
	late, early := begin(t, s), begin(t, s)
	write(t, s, late, "late")
	write(t, s, early, "early")
	commit(t, early)
	mustCatchUp(t, view)
	if got, err := lines(t.Context(), projection.NewReader(s.db, ledger())); err != nil || len(got) != 0 {
		t.Errorf("the ledger says %v, %v while a lower position may still appear", got, err)
	}
	commit(t, late)
	mustCatchUp(t, view)
	s.check(t, ledger())
	if want := s.written(t); len(want) != 2 || want[0] != "1 1 late" || want[1] != "2 2 early" {
		t.Errorf("the events are %q", want)
	}
}

func begin(t *testing.T, s shop) *sql.Tx {
	t.Helper()
	tx, err := s.db.Write().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func write(t *testing.T, s shop, tx *sql.Tx, id string) {
	t.Helper()
	if _, err := s.store.In(tx).Append(t.Context(), eventstoretest.Write(id, eventstore.Any, id)); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, tx *sql.Tx) {
	t.Helper()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// What is rolled back leaves positions that are never taken, and no lag.
func TestPositionsTakenInVain(t *testing.T) {
	t.Parallel()
	s := place{database.Postgres, server.Database(t)}.opened(t, nil)
	view := s.project(t, ledger(), nil)
	s.append(t, "s", "a")
	tx := begin(t, s)
	write(t, s, tx, "never")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustCatchUp(t, view)
	at, err := view.Positions(t.Context())
	if err != nil || len(at) != 1 || at[0].Position != 2 || at[0].Horizon != 2 || at[0].Lag != 0 || at[0].Age != 0 {
		t.Errorf("at %+v, %v", at, err)
	}
	s.append(t, "s", "b")
	mustCatchUp(t, view)
	s.check(t, ledger())
}

// Those who wait for the same events are served by one run, and by one that began after they asked.
func TestCatchUpIsShared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const callers = 50
		s := p.opened(t, nil)
		d := ledger()
		applying, goOn := make(chan struct{}), make(chan struct{})
		d.Apply = func(ctx context.Context, tx *sql.Tx, tables projection.Tables, r eventstore.Recorded) error {
			if r.Event.ID() == "slow" {
				close(applying)
				<-goOn
			}
			return enter(ctx, tx, tables, r)
		}
		view := s.project(t, d, nil)
		before := view.Begun()
		s.append(t, "s", "slow")
		var waiting sync.WaitGroup
		waiting.Go(func() { mustCatchUp(t, view) })
		<-applying

		asked := make(chan struct{}, callers)
		for range callers {
			waiting.Go(func() {
				asked <- struct{}{}
				if err := view.CatchUp(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		for range callers {
			<-asked
		}
		close(goOn)
		waiting.Wait()
		// A caller that was slow to ask may have come later.
		if runs := view.Begun() - before; runs < 2 || runs > 1+callers/2 {
			t.Errorf("%d runs for %d callers", runs, callers)
		}
		s.check(t, d)
	})
}

// A caller who has no more time leaves the work to those who have.
func TestCatchUpThatIsCancelled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		d := ledger()
		applying := make(chan struct{})
		var once sync.Once
		d.Apply = func(ctx context.Context, tx *sql.Tx, tables projection.Tables, r eventstore.Recorded) error {
			first := false
			once.Do(func() { first = true })
			if first {
				close(applying)
				<-ctx.Done()
			}
			return enter(ctx, tx, tables, r)
		}
		view := s.project(t, d, nil)
		s.append(t, "s", "a")
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if err := view.CatchUp(ctx); err == nil {
				t.Error("caught up without time")
			}
		})
		<-applying
		waiting.Go(func() {
			if err := view.CatchUp(t.Context()); err != nil {
				t.Error(err)
			}
		})
		cancel()
		waiting.Wait()
		s.check(t, d)
		if at, err := view.Positions(t.Context()); err != nil || at[0].Stopped != nil {
			t.Errorf("at %+v, %v", at, err)
		}
	})
}

// cancelKey is where a context has its own cancel function.
type cancelKey struct{}

// Of two callers who wait, the one that has its turn first runs out of time. The other one does the work, and does not get that error.
func TestCatchUpOfAnImpatientCaller(t *testing.T) {
	t.Parallel()
	s := place{database.Postgres, server.Database(t)}.opened(t, nil)
	d := ledger()
	applying, goOn := make(chan struct{}), make(chan struct{})
	var impatient sync.Once
	d.Apply = func(ctx context.Context, tx *sql.Tx, tables projection.Tables, r eventstore.Recorded) error {
		if r.Event.ID() == "slow" {
			close(applying)
			<-goOn
		} else {
			impatient.Do(ctx.Value(cancelKey{}).(context.CancelFunc))
		}
		return enter(ctx, tx, tables, r)
	}
	view := s.project(t, d, nil)
	s.append(t, "s", "slow")
	var waiting sync.WaitGroup
	waiting.Go(func() { mustCatchUp(t, view) })
	<-applying
	s.append(t, "t", "second")
	asked, failed := make(chan struct{}, 2), make(chan error, 2)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		waiting.Go(func() {
			asked <- struct{}{}
			failed <- view.CatchUp(context.WithValue(ctx, cancelKey{}, cancel))
		})
	}
	<-asked
	<-asked
	time.Sleep(20 * time.Millisecond) // for both to wait: who asks later could not get the error
	close(goOn)
	waiting.Wait()
	if a, b := <-failed, <-failed; (a == nil) == (b == nil) {
		t.Errorf("one must fail and the other not: %v and %v", a, b)
	}
	s.check(t, d)
}
