package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
	"github.com/millrace/millrace/runtime/projection"
)

// machine has followers do anything to the same projection, one after the other, and be interrupted anywhere.
type machine struct {
	shop

	views []*projection.Projection
	// appended counts events.
	appended int
	// read are the lines that a query saw, which must stay.
	read []line
}

type line struct {
	place    int
	position int64
	id       string
}

// Whatever followers do: queries see a beginning of all events, each once and in its turn, which never gets shorter.
func TestAnythingMayHappen(t *testing.T) {
	t.Parallel()
	const enough = 25 // of runs that succeed: each writes a database
	folder, databases, succeeded, failed := t.TempDir(), 0, 0, false
	rapid.Check(t, func(t *rapid.T) {
		if succeeded >= enough && !failed {
			return
		}
		before := succeeded
		defer func() { failed = failed || succeeded == before }()
		databases++
		m := newMachine(t, place{database.SQLite, filepath.Join(folder, fmt.Sprint(databases, ".db"))})
		t.Repeat(map[string]func(*rapid.T){
			"":          m.query,
			"append":    m.append,
			"catch up":  m.catchUp,
			"chore":     m.chore,
			"interrupt": m.interrupt,
			"rebuild":   m.rebuild,
		})
		m.catchUp(t)
		succeeded++
	})
}

// newMachine has two followers, which know nothing of each other.
func newMachine(t *rapid.T, p place) *machine {
	db, store, err := p.open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the folder goes with it
	m := &machine{shop: shop{p, db, store}}
	for batch := range 2 {
		view, err := projection.New(t.Context(), db, store, ledger(), &projection.Options{Batch: batch + 3, Grace: 1})
		if err != nil {
			t.Fatal(err)
		}
		m.views = append(m.views, view)
	}
	return m
}

func (m *machine) view(t *rapid.T) *projection.Projection {
	return rapid.SampledFrom(m.views).Draw(t, "follower")
}

func (m *machine) append(t *rapid.T) {
	stream := fmt.Sprint("s-", rapid.IntRange(0, 2).Draw(t, "stream"))
	var names []string
	for range rapid.IntRange(1, 5).Draw(t, "events") {
		m.appended++
		names = append(names, fmt.Sprint(m.appended))
	}
	if _, err := m.store.Append(t.Context(), eventstoretest.Write(stream, eventstore.Any, names...)); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) catchUp(t *rapid.T) {
	if err := m.view(t).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.query(t); len(m.read) != m.appended {
		t.Fatalf("caught up with %d events of %d", len(m.read), m.appended)
	}
}

func (m *machine) chore(t *rapid.T) {
	if err := m.view(t).Chore().Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) rebuild(t *rapid.T) {
	o := &projection.RebuildOptions{Anew: rapid.Bool().Draw(t, "anew")}
	if err := m.view(t).Rebuild(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// interrupt begins a rebuild and cancels it after some batches.
func (m *machine) interrupt(t *rapid.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches := rapid.IntRange(0, 5).Draw(t, "batches")
	err := m.view(t).Rebuild(ctx, &projection.RebuildOptions{Anew: rapid.Bool().Draw(t, "anew"), Progress: func(projection.Progress) {
		if batches--; batches < 0 {
			cancel()
		}
	}})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// query looks at the lines that it did not see before.
func (m *machine) query(t *rapid.T) {
	known, position := len(m.read), int64(0)
	if known > 0 {
		position = m.read[known-1].position
	}
	err := projection.NewReader(m.db, ledger()).Read(t.Context(), func(ctx context.Context, tx *sql.Tx, tables projection.Tables) error {
		m.read = m.read[:known]
		const statement = "SELECT place, position, id FROM {ledger_lines} WHERE place >= $1 ORDER BY place"
		rows, err := tx.QueryContext(ctx, tables.SQL(statement), known)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l line
			if err := rows.Scan(&l.place, &l.position, &l.id); err != nil {
				return err
			}
			m.read = append(m.read, l)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if known > 0 { // the line that was the last one is there again
		if len(m.read) == known || m.read[known] != m.read[known-1] {
			t.Fatalf("line %+v is gone", m.read[known-1])
		}
		m.read = slices.Delete(m.read, known, known+1)
	}
	want, err := m.store.ReadAll(t.Context(), position, eventstore.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range m.read[known:] {
		if l != (line{known + i + 1, want[i].Position, want[i].Event.ID()}) {
			t.Fatalf("line %+v after %d lines is not the event %d", l, known+i, want[i].Position)
		}
	}
}
