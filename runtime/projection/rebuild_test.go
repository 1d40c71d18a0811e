package projection_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/projection"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// watched reads the ledger until over is closed. No read may fail, and no line may go.
func (s shop) watched(t *testing.T, d projection.Definition, over <-chan struct{}) {
	reader, known := projection.NewReader(s.db, d), 0
	for {
		var count int
		err := reader.Read(t.Context(), func(ctx context.Context, tx *sql.Tx, tables projection.Tables) error {
			return tx.QueryRowContext(ctx, tables.SQL("SELECT count(*) FROM {ledger_lines}")).Scan(&count)
		})
		if err != nil {
			t.Errorf("a query was not answered: %v", err)
			return
		}
		if count < known {
			t.Errorf("a query saw %d lines, after one that saw %d", count, known)
			return
		}
		known = count
		select {
		case <-over:
			return
		default:
		}
	}
}

// While events arrive and are read, a generation is built and takes the place of the one that was there. It has the same rows, and
// the old tables go when their grace is over.
func TestRebuildWhileEventsArrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const rebuilds, before, meanwhile = 3, 200, 1000
		s := p.opened(t, nil)
		options := &projection.Options{Batch: 20, Grace: 300 * time.Millisecond}
		view := s.project(t, ledger(), options)
		for i := range before {
			s.append(t, fmt.Sprint("s-", i%7), fmt.Sprint("before ", i))
		}
		mustCatchUp(t, view)

		over := make(chan struct{})
		var working sync.WaitGroup
		working.Go(func() { s.watched(t, ledger(), over) })
		working.Go(func() {
			for i := range meanwhile { // not more than a slow machine can follow
				select {
				case <-over:
					return
				case <-time.After(2 * time.Millisecond):
					s.append(t, fmt.Sprint("s-", i%7), fmt.Sprint("meanwhile ", i))
				}
			}
		})
		other := p.opened(t, nil).project(t, ledger(), options)
		working.Go(func() { // another process follows
			for done := false; !done; {
				select {
				case <-over:
					done = true
				default:
				}
				if err := run(t, other); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for range rebuilds {
			var told []projection.Progress
			err := view.Rebuild(t.Context(), &projection.RebuildOptions{Progress: func(p projection.Progress) { told = append(told, p) }})
			if err != nil {
				t.Fatal(err)
			}
			if last := told[len(told)-1]; !last.Done || told[0].Done || told[0].Position >= told[0].Horizon || last.Position < before {
				t.Errorf("progress from %+v to %+v", told[0], last)
			}
		}
		close(over)
		working.Wait()
		mustCatchUp(t, view)
		s.check(t, ledger())
		equal(t, s, view)
		runtimetest.Eventually(t, "the old tables are dropped", func() bool {
			if err := run(t, view); err != nil {
				t.Fatal(err)
			}
			return len(s.tables(t)) == 2
		})
		s.check(t, ledger())
	})
}

// equal rebuilds once more, when nothing arrives, and compares the tables that were active with those that are now.
func equal(t *testing.T, s shop, view *projection.Projection) {
	t.Helper()
	was := s.rows(t)
	if err := view.Rebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if is := s.rows(t); !slices.Equal(was, is) {
		t.Errorf("the tables of a rebuild are others:\n%q\nwant\n%q", is, was)
	}
}

// rows returns all rows of the active tables.
func (s shop) rows(t *testing.T) (all []string) {
	t.Helper()
	err := projection.NewReader(s.db, ledger()).Read(t.Context(), func(ctx context.Context, tx *sql.Tx, tables projection.Tables) error {
		for _, statement := range []string{
			"SELECT place, position, id FROM {ledger_lines} ORDER BY place", "SELECT stream, version, '' FROM {ledger_streams} ORDER BY stream",
		} {
			rows, err := tx.QueryContext(ctx, tables.SQL(statement))
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var a, b, c string
				if err := rows.Scan(&a, &b, &c); err != nil {
					return err
				}
				all = append(all, a+" "+b+" "+c)
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A query that began before the tables were replaced and dropped ends with what it began with.
func TestARunningQueryEnds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		view := s.project(t, ledger(), &projection.Options{Grace: time.Microsecond})
		s.append(t, "s", "a", "b")
		mustCatchUp(t, view)
		count := func(ctx context.Context, tx *sql.Tx, tables projection.Tables) (n int, err error) {
			err = tx.QueryRowContext(ctx, tables.SQL("SELECT count(*) FROM {ledger_lines}")).Scan(&n)
			return n, err
		}
		tries := 0
		err := projection.NewReader(s.db, ledger()).Read(t.Context(), func(ctx context.Context, tx *sql.Tx, tables projection.Tables) error {
			tries++
			if tries > 1 {
				n, err := count(ctx, tx, tables)
				if n != 3 {
					t.Errorf("the second try counts %d lines", n)
				}
				return err
			}
			if s.kind == database.SQLite { // its readers see all as it was when they began
				defer func() {
					if n, err := count(ctx, tx, tables); n != 2 || err != nil {
						t.Errorf("counts %d lines, %v", n, err)
					}
				}()
			}
			s.append(t, "s", "c")
			if err := view.Rebuild(t.Context(), nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond) // the grace
			if err := run(t, view); err != nil {
				t.Error(err)
			}
			if s.kind == database.SQLite {
				return nil
			}
			_, err := count(ctx, tx, tables)
			return err
		})
		if err != nil {
			t.Errorf("the query failed: %v", err)
		}
		if names := s.tables(t); len(names) != 2 {
			t.Errorf("the tables are %q", names)
		}
	})
}

// A rebuild that is cancelled anywhere goes on, or begins anew, and others help.
func TestAnInterruptedRebuildGoesOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const interruptions = 10
		s := p.opened(t, nil)
		options := &projection.Options{Batch: 10}
		view := s.project(t, ledger(), options)
		for i := range 300 {
			s.append(t, fmt.Sprint("s-", i%3), fmt.Sprint(i))
		}
		mustCatchUp(t, view)
		finished := 0
		for i := range interruptions {
			ctx, cancel := context.WithCancel(t.Context())
			batches := rand.IntN(40)
			err := view.Rebuild(ctx, &projection.RebuildOptions{Anew: i%5 == 0, Progress: func(projection.Progress) {
				if batches == 0 {
					go cancel() // at some moment of the next batch
				}
				batches--
			}})
			cancel()
			switch {
			case err == nil:
				finished++
			case ctx.Err() == nil:
				t.Fatal(err)
			}
			s.check(t, ledger())
		}
		if err := view.Rebuild(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d of %d rebuilds were finished", finished, interruptions)
		s.check(t, ledger())
	})
}

// The chore returns when it has worked for a while, and asks to be called again, until there is nothing left to do.
func TestTheChoreWorksInSlices(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		s.append(t, "s", "a", "b", "c", "d", "e")
		view := s.project(t, ledger(), &projection.Options{Batch: 2})
		mustCatchUp(t, view)
		ctx, cancel := context.WithCancel(t.Context())
		if err := view.Rebuild(ctx, &projection.RebuildOptions{Progress: func(projection.Progress) { cancel() }}); err == nil {
			t.Fatal("not interrupted")
		}
		view.SetSlice(0)
		chore, runs := view.Chore(), 0
		for asked := true; asked; runs++ {
			if err := chore.Run(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			select {
			case <-chore.Wake:
			default:
				asked = false
			}
		}
		if runs < 3 {
			t.Errorf("%d runs", runs)
		}
		at, err := view.Positions(t.Context())
		if err != nil || len(at) != 2 || at[1].State != projection.Active {
			t.Errorf("at %+v, %v", at, err)
		}
		s.check(t, ledger())
	})
}

// What was built is thrown away where a rebuild is to begin anew, and only then.
func TestRebuildAnew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		view := s.project(t, ledger(), &projection.Options{Batch: 1})
		s.append(t, "s", "a", "b", "c")
		mustCatchUp(t, view)
		half := func(o projection.RebuildOptions) (number int64) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o.Progress = func(p projection.Progress) {
				if number = p.Generation; p.Position == 2 {
					cancel()
				}
			}
			if err := view.Rebuild(ctx, &o); err == nil {
				t.Error("not interrupted")
			}
			return number
		}
		first := half(projection.RebuildOptions{})
		if again := half(projection.RebuildOptions{}); again != first {
			t.Errorf("generation %d, want %d to go on", again, first)
		}
		anew := half(projection.RebuildOptions{Anew: true})
		if anew == first || len(s.tables(t)) != 4 {
			t.Errorf("generation %d after %d, tables %q", anew, first, s.tables(t))
		}
		if err := run(t, view); err != nil {
			t.Fatal(err)
		}
		at, err := view.Positions(t.Context())
		if err != nil || at[len(at)-1].Generation != anew || at[len(at)-1].State != projection.Active {
			t.Errorf("the chore did not finish the rebuild: %+v, %v", at, err)
		}
		s.check(t, ledger())
	})
}

// Two who rebuild at once build the same generation.
func TestRebuildsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		for i := range 200 {
			s.append(t, fmt.Sprint("s-", i%3), fmt.Sprint(i))
		}
		mustCatchUp(t, s.project(t, ledger(), nil))
		var rebuilding sync.WaitGroup
		began := make(chan struct{})
		for range 3 {
			view := p.opened(t, nil).project(t, ledger(), &projection.Options{Batch: 2})
			rebuilding.Go(func() {
				<-began
				if err := view.Rebuild(t.Context(), nil); err != nil {
					t.Error(err)
				}
			})
		}
		close(began)
		rebuilding.Wait()
		s.check(t, ledger())
	})
}

// Another process brings the active generation on whenever this one has read what the new one lacks. Still the new one comes up.
func TestARebuildOvertakes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const limit = 100
		s := p.opened(t, nil)
		s.append(t, "s", "first")
		other := s.project(t, ledger(), nil)
		mustCatchUp(t, other)
		armed, arrived := false, 0
		arrive := func(e event.Event) (event.Event, error) {
			if armed && arrived < limit {
				armed = false
				arrived++
				s.append(t, "s", fmt.Sprint("arrives ", arrived))
				mustCatchUp(t, other)
			}
			e.SetType("dev.millrace.test.happened.v2")
			return e, nil
		}
		reads := p.opened(t, &eventstore.Options{Upcasters: []eventstore.Upcaster{{
			From: "dev.millrace.test.happened.v1", To: "dev.millrace.test.happened.v2", Upcast: arrive,
		}}})
		view := reads.project(t, ledger(), nil)
		err := view.Rebuild(t.Context(), &projection.RebuildOptions{Progress: func(projection.Progress) { armed = true }})
		if err != nil {
			t.Fatal(err)
		}
		if arrived == 0 || arrived > limit/2 {
			t.Errorf("%d events arrived until it came up", arrived)
		}
		s.check(t, ledger()) // queries do not go back in time
		mustCatchUp(t, other)
		s.check(t, ledger())
	})
}

// An event that the new generation cannot take, among those that it has to overtake, stops it.
func TestPoisonInTheWay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		s.append(t, "s", "first")
		other := s.project(t, ledger(), nil)
		mustCatchUp(t, other)
		arrived := false
		reads := p.opened(t, &eventstore.Options{Upcasters: []eventstore.Upcaster{{
			From: "dev.millrace.test.happened.v1", To: "dev.millrace.test.happened.v2", Upcast: func(e event.Event) (event.Event, error) {
				if !arrived {
					arrived = true
					s.append(t, "s", "second", "poison")
					mustCatchUp(t, other)
				}
				e.SetType("dev.millrace.test.happened.v2")
				return e, nil
			},
		}}})
		stopped := asStopped(t, reads.project(t, refusing("poison"), nil).Rebuild(t.Context(), nil))
		if stopped.EventID != "poison" || stopped.Position != 3 {
			t.Errorf("stopped %+v", stopped)
		}
		s.check(t, ledger())
	})
}

// The rows of a generation that is being built are not read, nor are those of a later one by a reader of another schema.
func TestSchemas(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		options := &projection.Options{Batch: 2}
		d1, d2 := ledger(), upgraded(ledger(), 2)
		old := s.project(t, d1, options)
		s.append(t, "s", "a", "b", "c")
		mustCatchUp(t, old)

		// New code starts beside the old one. Its strict queries wait, those that can read the old tables do not.
		either := d2
		either.ReadsSince = 1
		young := s.project(t, d2, options)
		if _, err := lines(t.Context(), projection.NewReader(s.db, d2)); !isNotBuilt(err) {
			t.Errorf("schema 2 is not built, but read: %v", err)
		}
		s.check(t, either)
		mustCatchUp(t, young)
		for _, d := range []projection.Definition{d1, d2, either} {
			s.check(t, d)
		}

		// Both are followed as long as both run, and the old tables are kept.
		for i := range 3 {
			s.append(t, "s", fmt.Sprint("both ", i))
			s.longAgo(t)
			mustCatchUp(t, old) // which is enough to be kept
			if err := run(t, young); err != nil {
				t.Fatal(err)
			}
			s.check(t, d1)
			s.longAgo(t)
			mustCatchUp(t, old) // and so is this, where nothing happens
			if err := run(t, young); err != nil {
				t.Fatal(err)
			}
			s.check(t, d1)
			s.check(t, d2)
		}

		// Without old processes the old tables go.
		s.longAgo(t)
		if err := run(t, young); err != nil {
			t.Fatal(err)
		}
		if names := s.tables(t); len(names) != 2 {
			t.Errorf("tables %q", names)
		}
		if _, err := lines(t.Context(), projection.NewReader(s.db, d1)); !isNotBuilt(err) {
			t.Errorf("schema 1 is gone, but read: %v", err)
		}

		// Old code that comes back builds its own again, and does not disturb the new one.
		s.append(t, "s", "back")
		back := s.project(t, d1, options)
		for _, view := range []*projection.Projection{back, young} {
			if err := run(t, view); err != nil {
				t.Fatal(err)
			}
		}
		at, err := back.Positions(t.Context())
		if err != nil || len(at) != 2 || at[0].Schema != 2 || at[0].State != projection.Active || at[1].State != projection.Retired {
			t.Errorf("at %+v, %v", at, err)
		}
		s.check(t, d1)
		s.check(t, d2)
	})
}

// longAgo has all that happened to the generations have happened two hours ago.
func (s shop) longAgo(t *testing.T) {
	t.Helper()
	const statement = "UPDATE millrace_projections SET followed = followed - 7200000000, retired = retired - 7200000000"
	if _, err := s.db.Write().ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// A batch ends when its time is over.
func TestABatchIsShort(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		d, positions := ledger(), map[int64]bool{}
		d.Apply = func(ctx context.Context, tx *sql.Tx, tables projection.Tables, r eventstore.Recorded) error {
			at, err := projectionPosition(ctx, tx)
			positions[at] = true
			time.Sleep(2 * time.Millisecond)
			if err != nil {
				return err
			}
			return enter(ctx, tx, tables, r)
		}
		view := s.project(t, d, &projection.Options{BatchTime: time.Millisecond})
		s.append(t, "s", "a", "b", "c")
		mustCatchUp(t, view)
		if len(positions) != 3 {
			t.Errorf("transactions began at the positions %v, want one for each event", positions)
		}
		s.check(t, d)
	})
}

func projectionPosition(ctx context.Context, tx *sql.Tx) (at int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT max(position) FROM millrace_projections").Scan(&at)
	return at, err
}
