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
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// replanned comes before the arguments of a statement that is not to be prepared.
const replanned = pgx.QueryExecModeCacheDescribe

// liveness are the settings with which the server notices that a client is gone or paused, whose locks others wait for: it
// ends a transaction in which no statement came for so long, and asks a silent connection for a sign of life (in seconds).
var liveness = map[string]string{
	"idle_in_transaction_session_timeout": "15s",
	"tcp_keepalives_idle":                 "10",
	"tcp_keepalives_interval":             "5",
	"tcp_keepalives_count":                "3",
}

// OpenPostgres connects to the PostgreSQL database of dsn, a URL or a list of keywords and values
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), over at most the given number of
// connections. The server must answer within 5 seconds. Errors hold nothing of dsn but host and port.
//
// The server ends a transaction, and the connection with it, in which no statement came for 15 seconds, and notices within 25
// seconds that a machine is gone. dsn may say otherwise by the names of the server's settings:
// idle_in_transaction_session_timeout, tcp_keepalives_idle, tcp_keepalives_interval and tcp_keepalives_count. PgBouncer must be
// told to take them (ignore_startup_parameters), and then has its own.
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
	setLiveness(c.RuntimeParams)
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

// setLiveness adds liveness to the settings of a connection, but for what they have, by themselves or in "options".
func setLiveness(settings map[string]string) {
	for name, value := range liveness {
		if _, ok := settings[name]; !ok && !strings.Contains(settings["options"], name) {
			settings[name] = value
		}
	}
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
