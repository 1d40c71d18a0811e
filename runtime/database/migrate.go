package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// migrateTimeout bounds the creation of tables, which waits for other processes that start at the same time.
	migrateTimeout = 30 * time.Second
	// migrateTries is how often the creation is tried: several processes may create the first table at once.
	migrateTries = 5
)

// Kind is a kind of database.
type Kind string

// The kinds.
const (
	SQLite   Kind = "sqlite"
	Postgres Kind = "postgres"
)

// Migrate brings the tables of db up to date by the migrations in the folder of files that is named after the kind. table
// keeps which ones were done. Several processes may migrate at once. It takes 30 seconds at most.
func Migrate(ctx context.Context, db *sql.DB, kind Kind, files fs.FS, table string) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	migrations, err := provider(db, kind, files, table)
	if err != nil {
		return fmt.Errorf("read the migrations of %s: %w", table, err)
	}
	for try := 1; ; try++ {
		if _, err = migrations.Up(ctx); err == nil {
			return nil
		}
		if try == migrateTries {
			return fmt.Errorf("create the tables that %s lists: %w", table, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("create the tables that %s lists: %w", table, err)
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

func provider(db *sql.DB, kind Kind, files fs.FS, table string) (*goose.Provider, error) {
	folder, err := fs.Sub(files, string(kind))
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithTableName(table), goose.WithDisableGlobalRegistry(true)}
	if kind == SQLite {
		return goose.NewProvider(goose.DialectSQLite3, db, folder, options...)
	}
	// Processes that start at the same time must not create the same table.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrateTimeout/time.Second)))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, folder, append(options, goose.WithSessionLocker(locker))...)
}
