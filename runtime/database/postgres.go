package database

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

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
	safe := !isRemote(c.Host) || verifies(c.TLSConfig)
	return safe && !slices.ContainsFunc(c.Fallbacks, func(other *pgconn.FallbackConfig) bool {
		return isRemote(other.Host) && !verifies(other.TLSConfig)
	}), nil
}

// isRemote tells whether a server is not on this machine. A path is that of a socket.
func isRemote(host string) bool {
	if host == "localhost" || filepath.IsAbs(host) {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// verifies tells whether a connection with c looks at the server's certificate.
func verifies(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// postgresCode returns the code of an error (https://www.postgresql.org/docs/current/errcodes-appendix.html), "" for none.
func postgresCode(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}
