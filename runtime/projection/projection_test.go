package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
	"github.com/millrace/millrace/runtime/projection"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	follower() // does not return in a process that a test started to be killed
	goleak.VerifyTestMain(server.Tests(m))
}

// place is where an empty database is.
type place struct {
	kind database.Kind
	url  string
}

// each runs a test for each kind of database.
func each(t *testing.T, test func(*testing.T, place)) {
	t.Helper()
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := place{kind, filepath.Join(t.TempDir(), "view.db")}
			if kind == database.Postgres {
				p.url = server.Database(t)
			}
			test(t, p)
		})
	}
}

// open opens the database and its event store.
func (p place) open(ctx context.Context, o *eventstore.Options) (*database.DB, *eventstore.Store, error) {
	db, err := database.Open(ctx, database.Config{Kind: string(p.kind), URL: config.NewSecret(p.url)})
	if err != nil {
		return nil, nil, err
	}
	store, err := eventstore.New(ctx, db, o)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, store, nil
}

// shop is what a process has of a database.
type shop struct {
	place

	db    *database.DB
	store *eventstore.Store
}

// opened opens the database as one process does. Several may be open at once.
func (p place) opened(t *testing.T, o *eventstore.Options) shop {
	t.Helper()
	db, store, err := p.open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return shop{p, db, store}
}

// project returns a projection in the shop's database.
func (s shop) project(t *testing.T, d projection.Definition, o *projection.Options) *projection.Projection {
	t.Helper()
	p, err := projection.New(t.Context(), s.db, s.store, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// append appends events to a stream.
func (s shop) append(t testing.TB, stream string, ids ...string) {
	t.Helper()
	if _, err := s.store.Append(t.Context(), eventstoretest.Write(stream, eventstore.Any, ids...)); err != nil {
		t.Fatal(err)
	}
}

// ledger is a projection that writes down each event, and how many there are of each stream. An event that comes twice, or not in
// its turn, stops it.
func ledger() projection.Definition {
	return projection.Definition{
		Name: "ledger", Schema: 1, Tables: []string{"ledger_lines", "ledger_streams"},
		Create: func(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
			for _, statement := range []string{
				"CREATE TABLE {ledger_lines} (place bigint PRIMARY KEY, position bigint NOT NULL, id text NOT NULL)",
				"CREATE TABLE {ledger_streams} (stream text PRIMARY KEY, version bigint NOT NULL)",
				"CREATE UNIQUE INDEX {ledger_lines}_by_id ON {ledger_lines} (id)",
			} {
				if _, err := tx.ExecContext(ctx, t.SQL(statement)); err != nil {
					return err
				}
			}
			return nil
		},
		Apply: enter,
	}
}

func enter(ctx context.Context, tx *sql.Tx, t projection.Tables, r eventstore.Recorded) error {
	const line = "INSERT INTO {ledger_lines} (place, position, id) SELECT coalesce(max(place), 0) + 1, $1, $2 FROM {ledger_lines}"
	if _, err := tx.ExecContext(ctx, t.SQL(line), r.Position, r.Event.ID()); err != nil {
		return err
	}
	const stream = `INSERT INTO {ledger_streams} AS s (stream, version) VALUES ($1, 1)
ON CONFLICT (stream) DO UPDATE SET version = s.version + 1 RETURNING version`
	var version int64
	if err := tx.QueryRowContext(ctx, t.SQL(stream), r.Stream).Scan(&version); err != nil {
		return err
	}
	if version != r.Version {
		return fmt.Errorf("version %d comes where %d is due", r.Version, version)
	}
	return nil
}

// upgraded returns d with another schema.
func upgraded(d projection.Definition, schema int) projection.Definition {
	d.Schema = schema
	return d
}

// lines returns what the active generation has written down, one event a line.
func lines(ctx context.Context, r *projection.Reader) (all []string, err error) {
	err = r.Read(ctx, func(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
		all = nil
		rows, err := tx.QueryContext(ctx, t.SQL("SELECT place, position, id FROM {ledger_lines} ORDER BY place"))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var place, position int64
			var id string
			if err := rows.Scan(&place, &position, &id); err != nil {
				return err
			}
			all = append(all, fmt.Sprintf("%d %d %s", place, position, id))
		}
		return rows.Err()
	})
	return all, err
}

// failing is what tests and properties have in common.
type failing interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
}

// written returns what the ledger's lines have to be by now.
func (s shop) written(t failing) (want []string) {
	t.Helper()
	for after := int64(0); ; {
		page, err := s.store.ReadAll(t.Context(), after, eventstore.MaxRead)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return want
		}
		for _, r := range page {
			after = r.Position
			want = append(want, fmt.Sprintf("%d %d %s", len(want)+1, r.Position, r.Event.ID()))
		}
	}
}

// check tells how what queries see differs from what is stored.
func (s shop) check(t testing.TB, d projection.Definition) {
	t.Helper()
	got, err := lines(t.Context(), projection.NewReader(s.db, d))
	if err != nil {
		t.Fatal(err)
	}
	if want := s.written(t); !slices.Equal(got, want) {
		t.Fatalf("the ledger of %d lines is not that of the %d events:\n%s\nwant\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// tables returns the names of the ledger's tables that are in the database.
func (s shop) tables(t *testing.T) (names []string) {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'ledger%' ORDER BY name"
	if s.kind == database.Postgres {
		query = "SELECT tablename FROM pg_tables WHERE tablename LIKE 'ledger%' ORDER BY tablename"
	}
	rows, err := s.db.Read().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func mustCatchUp(t testing.TB, p *projection.Projection) {
	t.Helper()
	if err := p.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// run runs the chore once.
func run(t testing.TB, p *projection.Projection) error {
	t.Helper()
	return p.Chore().Run(t.Context(), nil)
}
