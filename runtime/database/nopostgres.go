//go:build nopostgres

package database

import (
	"context"
	"database/sql"
	"errors"
)

// replanned is never used: there is no database of the kind.
const replanned = ""

// OpenPostgres returns an error: the program was built without the client.
func OpenPostgres(context.Context, string, int) (*sql.DB, error) {
	return nil, errors.New("this program was built without PostgreSQL: build it without the tag nopostgres")
}

// VerifiesPostgres knows nothing of PostgreSQL, which OpenPostgres says.
func VerifiesPostgres(string) (bool, error) { return true, nil }

func postgresCode(error) string { return "" }
