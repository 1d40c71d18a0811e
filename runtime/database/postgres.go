//go:build !nopostgres

package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// replanned comes before the arguments of a statement that is not to be prepared.
const replanned = pgx.QueryExecModeCacheDescribe

// OpenPostgres connects to the PostgreSQL database of dsn, a URL or a list of keywords and values
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), over at most the given number of
// connections. The server must answer within 5 seconds. Errors hold nothing of dsn but host and port.
func OpenPostgres(ctx context.Context, dsn string, connections int) (*sql.DB, error) {
	c, err := parsePostgres(dsn)
	if err != nil {
		return nil, err
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "millrace"
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	bounded, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := db.PingContext(bounded); err != nil {
		address := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
		return nil, errors.Join(fmt.Errorf("PostgreSQL at %s: %w", address, err), db.Close())
	}
	return db, nil
}

// parsePostgres reads a DSN. Its errors hold nothing of it.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("is no PostgreSQL URL such as postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	return c, nil
}

// VerifiesPostgres tells whether each server of dsn is on this machine, or reached by TLS with a certificate that is
// verified. The error, where dsn cannot be read, holds nothing of it.
func VerifiesPostgres(dsn string) (bool, error) {
	c, err := parsePostgres(dsn)
	if err != nil {
		return false, err
	}
	safe := !IsRemote(c.Host) || IsVerified(c.TLSConfig)
	return safe && !slices.ContainsFunc(c.Fallbacks, func(other *pgconn.FallbackConfig) bool {
		return IsRemote(other.Host) && !IsVerified(other.TLSConfig)
	}), nil
}

// postgresCode returns the code of an error (https://www.postgresql.org/docs/current/errcodes-appendix.html), "" for none.
func postgresCode(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}
