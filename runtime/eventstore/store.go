package eventstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/millrace/millrace/runtime/database"
)

//go:embed migrations
var migrations embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "millrace_events_migrations"

// Options are the settings of a [Store]. nil is the default.
type Options struct {
	// Upcasters bring events of types that are no longer written up to date when they are read. Default: none.
	Upcasters []Upcaster
}

// Store keeps events in the tables millrace_events, millrace_streams and millrace_snapshots of a database. Its methods may be
// called from many goroutines, and many processes may share a database.
type Store struct {
	db        *database.DB
	dialect   *dialect
	upcasters chain
}

// New returns the store in a database, in which it creates its tables, or brings those of an older release up to date. The
// database may have other tables, too; it is the caller's to close. A PostgreSQL server must be the one that is written to, no
// replica: there readers would not see who is about to commit. o may be nil.
func New(ctx context.Context, db *database.DB, o *Options) (*Store, error) {
	upcasters, err := o.chain()
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: newSQLite(), upcasters: upcasters}
	if db.Kind() == database.Postgres {
		s.dialect = newPostgres()
	}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = db.Migrate(ctx, files, migrationsTable)
	}
	if err != nil {
		return nil, fmt.Errorf("event store: %w", err)
	}
	return s, nil
}

func (o *Options) chain() (chain, error) {
	if o == nil {
		return chain{}, nil
	}
	return newChain(o.Upcasters)
}

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// dialect is what databases do differently.
type dialect struct {
	// microseconds is the column recorded, in microseconds since 1970.
	microseconds string
	// alone says that append is atomic without a transaction.
	alone bool
	// lock keeps others from several streams, in the order of their names, so that two writers cannot wait for each other. nil:
	// a transaction keeps others from everything.
	lock func(ctx context.Context, q querier, streams []string) error
	// append stores the events of a batch. ok is false, and nothing is stored, where the stream has another version than is
	// expected.
	append func(ctx context.Context, q querier, b batch) (a Appended, ok bool, err error)
	// appendOrUndo is append within a transaction that goes on where nothing is stored: ok is false also where one of the
	// events is stored already. It costs less than a savepoint.
	appendOrUndo func(ctx context.Context, q querier, b batch) (a Appended, ok bool, err error)
	// horizon returns the position up to which no event can appear any more.
	horizon func(ctx context.Context, q querier) (int64, error)
}
