package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/projection"
)

var errPoison = errors.New("cannot be taken")

// refusing returns a ledger that does not take an event, after it has written something for it.
func refusing(id string) projection.Definition {
	d := ledger()
	d.Apply = func(ctx context.Context, tx *sql.Tx, tables projection.Tables, r eventstore.Recorded) error {
		if err := enter(ctx, tx, tables, r); err != nil || r.Event.ID() != id {
			return err
		}
		return errPoison
	}
	return d
}

func asStopped(t *testing.T, err error) *projection.StoppedError {
	t.Helper()
	mustStop(t, err)
	stopped, _ := errors.AsType[*projection.StoppedError](err)
	return stopped
}

// mustStop checks that err says of a projection that it stopped.
func mustStop(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*projection.StoppedError](err); !ok {
		t.Fatalf("error %v, want one that it stopped", err)
	}
}

func TestPoisonStopsVisibly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		view, other := s.project(t, refusing("poison"), nil), ledger()
		other.Name, other.Tables = "other", []string{"ledger_lines", "ledger_streams"}
		s.append(t, "s", "a", "b")
		s.append(t, "t", "c", "poison", "d")

		for range 2 {
			stopped := asStopped(t, view.CatchUp(t.Context()))
			want := projection.Stop{
				Stream: "t", Version: 2, Position: 4, EventID: "poison", EventType: "dev.millrace.test.happened.v1",
				Reason: errPoison.Error(), Since: stopped.Since,
			}
			if stopped.Stop != want || !errors.Is(stopped, errPoison) || stopped.Projection != "ledger" || stopped.Schema != 1 {
				t.Errorf("stopped %+v, want %+v", stopped, want)
			}
			for _, part := range []string{"ledger", `"poison"`, "version 2 of stream t", "position 4", "cannot be taken", "correct the code"} {
				if !strings.Contains(stopped.Error(), part) {
					t.Errorf("%q does not say %q", stopped, part)
				}
			}
			at, err := view.Positions(t.Context())
			if err != nil || at[0].Stopped == nil || *at[0].Stopped != want || at[0].Position != 3 || at[0].Lag != 2 || at[0].Age <= 0 {
				t.Errorf("at %+v (%+v), %v", at[0], at[0].Stopped, err)
			}
		}
		got, err := lines(t.Context(), projection.NewReader(s.db, ledger()))
		if err != nil || len(got) != 3 || got[2] != "3 3 c" {
			t.Errorf("the ledger says %q, %v", got, err)
		}
		if err := run(t, view); err == nil {
			t.Error("the chore does not tell")
		}
		if err := run(t, s.project(t, other, nil)); err != nil {
			t.Errorf("another projection stopped as well: %v", err)
		}

		// Code that takes the event goes on.
		corrected := s.project(t, ledger(), nil)
		mustCatchUp(t, corrected)
		s.check(t, ledger())
		if at, err := corrected.Positions(t.Context()); err != nil || at[0].Stopped != nil || at[0].Lag != 0 {
			t.Errorf("at %+v, %v", at[0], err)
		}
	})
}

// An event that the store cannot give out stops the projection as well.
func TestAnUnreadableEventStopsVisibly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, &eventstore.Options{Upcasters: []eventstore.Upcaster{{
			From: "dev.millrace.test.happened.v1", To: "dev.millrace.test.happened.v2",
			Upcast: func(e event.Event) (event.Event, error) {
				if e.ID() == "poison" {
					return e, errPoison
				}
				e.SetType("dev.millrace.test.happened.v2")
				return e, nil
			},
		}}})
		view := s.project(t, ledger(), nil)
		s.append(t, "s", "a", "poison", "b")
		stopped := asStopped(t, view.CatchUp(t.Context()))
		if stopped.Stream != "s" || stopped.Version != 2 || stopped.Position != 2 || !strings.Contains(stopped.Error(), "poison") {
			t.Errorf("stopped %+v", stopped)
		}
		at, err := view.Positions(t.Context())
		if err != nil || at[0].Stopped == nil || at[0].Position != 1 || at[0].Lag != 2 {
			t.Errorf("at %+v, %v", at[0], err)
		}

		// A store with other upcasters goes on.
		corrected := p.opened(t, nil)
		mustCatchUp(t, corrected.project(t, ledger(), nil))
		corrected.check(t, ledger())
	})
}

// A rebuild with code that does not take an event leaves the active generation as it is, which is still followed.
func TestPoisonInARebuild(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		s.append(t, "s", "a", "poison", "b")
		old := s.project(t, ledger(), nil)
		mustCatchUp(t, old)
		view := s.project(t, refusing("poison"), nil)
		mustStop(t, view.Rebuild(t.Context(), nil))
		s.append(t, "s", "c")
		mustStop(t, run(t, view))
		s.check(t, ledger())

		// Corrected code goes on with it.
		if err := run(t, old); err != nil {
			t.Error(err)
		}
		at, err := old.Positions(t.Context())
		if err != nil || len(at) != 2 || at[0].State != projection.Retired || at[1].State != projection.Active {
			t.Errorf("at %+v, %v", at, err)
		}
		s.check(t, ledger())
	})
}

// A projection that is stopped by what is wrong in its own rows is cured by a rebuild.
func TestARebuildCuresRows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		view := s.project(t, ledger(), nil)
		s.append(t, "s", "a", "b")
		mustCatchUp(t, view)
		if _, err := s.db.Write().ExecContext(t.Context(), "UPDATE ledger_streams_1 SET version = 7"); err != nil {
			t.Fatal(err)
		}
		s.append(t, "s", "c")
		mustStop(t, view.CatchUp(t.Context()))
		if err := view.Rebuild(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		mustCatchUp(t, view)
		s.check(t, ledger())
	})
}

// Errors of many bytes, and bytes that no database takes as text, are noted as well.
func TestStopWithAStrangeReason(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		d := ledger()
		d.Apply = func(context.Context, *sql.Tx, projection.Tables, eventstore.Recorded) error {
			return errors.New("\x00\xff" + strings.Repeat("é", 5000))
		}
		view := s.project(t, d, nil)
		s.append(t, "s", "a")
		mustStop(t, view.CatchUp(t.Context()))
		at, err := view.Positions(t.Context())
		if err != nil || at[0].Stopped == nil || !strings.HasPrefix(at[0].Stopped.Reason, "\uFFFD\uFFFDé") {
			t.Errorf("at %+v, %v", at, err)
		}
	})
}
