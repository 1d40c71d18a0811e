//go:build !nopostgres

package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/millrace/millrace/runtime/database"
)

// OpenPostgres returns the Store in the PostgreSQL database of dsn, a URL or a list of keywords and values
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), over at most the given number of
// connections. It may share the database with the handlers' own tables.
func OpenPostgres(ctx context.Context, dsn string, connections int, retention time.Duration, log *slog.Logger) (*SQL, error) {
	db, err := database.OpenPostgres(ctx, dsn, connections)
	if err != nil {
		return nil, err
	}
	return openSQL(ctx, db, postgresDialect(), retention, log)
}

// isPlaintextPostgres tells whether dsn names a remote server without TLS, or with a certificate that nobody looks at.
func isPlaintextPostgres(dsn string) (bool, error) {
	verifies, err := database.VerifiesPostgres(dsn)
	return err == nil && !verifies, err
}

// advisory is the id of a key's advisory lock: its first 8 bytes.
const advisory = `('x' || encode(substring($1::bytea FROM 1 FOR 8), 'hex'))::bit(64)::bigint`

func postgresDialect() *dialect {
	const (
		now = "statement_timestamp()" // now() would be the beginning of the handler's transaction
		ms  = "interval '1 millisecond'"
	)
	return &dialect{
		kind: database.Postgres,
		statements: statements{
			claim: `
INSERT INTO millrace_idempotency AS entry (key, function, token, state, until, kept)
SELECT $1, $2::text, $3::uuid, 1, ` + now + ` + $4::bigint * ` + ms + `, ` + now + ` + ($4::bigint + $5::bigint) * ` + ms + `
WHERE pg_try_advisory_xact_lock_shared(` + advisory + `)
ON CONFLICT (key) DO UPDATE SET token = excluded.token, state = 1, outcome = NULL, until = excluded.until, kept = excluded.kept,
	failed = CASE WHEN entry.kept > ` + now + ` THEN entry.failed ELSE 0 END,
	first_failure = CASE WHEN entry.kept > ` + now + ` THEN entry.first_failure END,
	crashed = CASE WHEN entry.kept > ` + now + `
		THEN entry.crashed + (entry.token NOT IN (excluded.token, ` + nobody + `))::integer ELSE 0 END
WHERE entry.until <= ` + now + ` OR (entry.token = excluded.token AND entry.state = 1)
RETURNING failed, crashed, coalesce((extract(epoch FROM first_failure) * 1000)::bigint, 0)`,
			look: `
SELECT state, outcome, (extract(epoch FROM until - ` + now + `) * 1000)::bigint
FROM millrace_idempotency WHERE key = $1 AND until > ` + now,
			complete: `
UPDATE millrace_idempotency SET state = $1, outcome = $2, until = ` + now + ` + $3 * ` + ms + `, kept = NULL
WHERE key = $4 AND token = $5`,
			published: `UPDATE millrace_idempotency SET state = 3, outcome = NULL WHERE key = $1 AND state = 2`,
			release: `
UPDATE millrace_idempotency SET token = ` + nobody + `, until = 'epoch', kept = ` + now + ` + $2 * ` + ms + `,
	failed = failed + $1, first_failure = CASE WHEN failed + $1 > 0 THEN coalesce(first_failure, ` + now + `) END
WHERE key = $3 AND token = $4 AND state = 1`,
			dropped: `DELETE FROM millrace_idempotency WHERE key = $1 AND token = $2 AND state = 1`,
			forget: `
DELETE FROM millrace_idempotency
WHERE key = $1 AND state = 1 AND until <= ` + now + ` AND pg_try_advisory_xact_lock_shared(` + advisory + `)`,
			sweep: `
DELETE FROM millrace_idempotency WHERE key IN (
	SELECT key FROM millrace_idempotency WHERE coalesce(kept, until) <= ` + now + `
	ORDER BY coalesce(kept, until) LIMIT $1 FOR UPDATE SKIP LOCKED)`,
		},
		lock:        lockPostgres,
		explain:     explainPostgres,
		unreachable: unreachablePostgres,
	}
}

// lockPostgres takes an advisory lock, which other claims try, in place of having them wait for the row: a transaction lasts
// as long as its handler. Claims that are no transaction share the lock, so that they do not disturb each other. It has
// the server end the transaction of a process that was paused, or whose machine is gone, when the lease is over.
func lockPostgres(ctx context.Context, tx *sql.Tx, key []byte, lease time.Duration) (locked bool, err error) {
	const statement = `SELECT pg_try_advisory_xact_lock(` + advisory + `), set_config('idle_in_transaction_session_timeout', $2, true)`
	var setting string
	err = tx.QueryRowContext(ctx, statement, key, strconv.FormatInt(lease.Milliseconds(), 10)).Scan(&locked, &setting)
	return locked, err
}

func explainPostgres(err error) error {
	if postgresCode(err) == "25P03" { // idle_in_transaction_session_timeout
		return ErrLost
	}
	return err
}

// unreachablePostgres tells whether the connection is gone or the server short of something, by the class of its code
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). Other codes are about statements.
func unreachablePostgres(conn *sql.Conn, err error) bool {
	switch code := postgresCode(err); {
	case errors.Is(err, sql.ErrTxDone):
		return false
	case code != "":
		return slices.Contains([]string{"08", "53", "57", "58", "XX"}, code[:2])
	}
	closed := true
	_ = conn.Raw(func(driver any) error { // one that cannot be looked at is closed
		closed = driver.(*stdlib.Conn).Conn().IsClosed()
		return nil
	})
	return closed
}

func postgresCode(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && len(failure.Code) == 5 {
		return failure.Code
	}
	return ""
}
