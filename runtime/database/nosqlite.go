//go:build lambda.norpc && !sqlite

package database

import (
	"context"
	"database/sql"
	"errors"
)

var errNoSQLite = errors.New("this program was built without SQLite: use PostgreSQL, or build it without the tag lambda.norpc")

// OpenSQLite returns an error: on Lambda no file outlives the process, so a program that is built for it has no SQLite.
func OpenSQLite(context.Context, string, int) (*sql.DB, error) {
	return nil, errNoSQLite
}

func openPools(context.Context, Config) (*DB, error) { return nil, errNoSQLite }

func isSQLiteBusy(error) bool { return false }

func isSQLiteDuplicate(error) bool { return false }
