package eventstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/millrace/millrace/runtime/database"
)

//go:embed migrations
var migrations embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "millrace_events_migrations"

// readers is how many reads of a SQLite file run at once. They wait for no writer.
const readers = 4

// Options are the settings of a [Store]. nil is the default.
type Options struct {
	// Upcasters bring events of types that are no longer written up to date when they are read. Default: none.
	Upcasters []Upcaster
}

// Store keeps events in the tables millrace_events, millrace_streams and millrace_snapshots of a database, which it creates.
// Its methods may be called from many goroutines, and many processes may share a database.
type Store struct {
	// write is the database. read is, too, but for SQLite, where one connection writes and others read.
	write, read *sql.DB
	dialect     *dialect
	upcasters   chain
}

// OpenSQLite returns the store in the SQLite database of a file, which is created where its folder exists. It may share the
// database with other tables. One process writes at a time, and what is written is synced to the disk: it is meant for one
// process, or a few, on one machine. o may be nil.
func OpenSQLite(ctx context.Context, path string, o *Options) (*Store, error) {
	upcasters, err := o.chain()
	if err != nil {
		return nil, err
	}
	write, err := database.OpenSQLite(ctx, path, 1)
	if err != nil {
		return nil, err
	}
	read, err := database.OpenSQLite(ctx, path, readers)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return (&Store{write: write, read: read, dialect: newSQLite(), upcasters: upcasters}).migrated(ctx)
}

// OpenPostgres returns the store in the PostgreSQL database of dsn, a URL or a list of keywords and values
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), over at most the given number of
// connections. It may share the database with other tables. It must be the server that is written to, no replica: there
// readers would not see who is about to commit. o may be nil.
func OpenPostgres(ctx context.Context, dsn string, connections int, o *Options) (*Store, error) {
	upcasters, err := o.chain()
	if err != nil {
		return nil, err
	}
	db, err := database.OpenPostgres(ctx, dsn, connections)
	if err != nil {
		return nil, err
	}
	return (&Store{write: db, read: db, dialect: newPostgres(), upcasters: upcasters}).migrated(ctx)
}

func (o *Options) chain() (chain, error) {
	if o == nil {
		return chain{}, nil
	}
	return newChain(o.Upcasters)
}

// migrated returns the store when its tables are there, those of an older release brought up to date.
func (s *Store) migrated(ctx context.Context) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = database.Migrate(ctx, s.write, s.dialect.kind, files, migrationsTable)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("event store: %w", err), s.Close())
	}
	return s, nil
}

// Close closes the connections. What is stored stays.
func (s *Store) Close() error {
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// dialect is what databases do differently.
type dialect struct {
	kind database.Kind
	// placeholder comes before the number of an argument.
	placeholder string
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
	// horizon returns the position up to which no event can appear any more.
	horizon func(ctx context.Context, q querier) (int64, error)
}
