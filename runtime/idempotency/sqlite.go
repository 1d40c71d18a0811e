//go:build !lambda.norpc || sqlite

package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/millrace/millrace/runtime/database"
)

// OpenSQLite returns the Store in the SQLite database of a file, which is created where its folder exists. It may share the
// database with the handlers' own tables. One process writes at a time, and what is written is synced to the disk: it is
// meant for one process, or a few, on one machine.
func OpenSQLite(ctx context.Context, path string, retention time.Duration, log *slog.Logger) (*SQL, error) {
	db, err := database.OpenSQLite(ctx, path, 1)
	if err != nil {
		return nil, err
	}
	return openSQL(ctx, db, sqliteDialect(), retention, log)
}

func sqliteDialect() *dialect {
	const now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
	return &dialect{
		kind: database.SQLite,
		statements: statements{
			claim: `
INSERT INTO millrace_idempotency AS entry (key, function, token, state, until, kept)
VALUES (?1, ?2, ?3, 1, ` + now + ` + ?4, ` + now + ` + ?4 + ?5)
ON CONFLICT (key) DO UPDATE SET token = excluded.token, state = 1, outcome = NULL, until = excluded.until, kept = excluded.kept,
	failed = CASE WHEN entry.kept > ` + now + ` THEN entry.failed ELSE 0 END,
	first_failure = CASE WHEN entry.kept > ` + now + ` THEN entry.first_failure END,
	crashed = CASE WHEN entry.kept > ` + now + ` THEN entry.crashed + (entry.token NOT IN (excluded.token, ` + nobody + `)) ELSE 0 END
WHERE entry.until <= ` + now + ` OR (entry.token = excluded.token AND entry.state = 1)
RETURNING failed, crashed, coalesce(first_failure, 0)`,
			look: `SELECT state, outcome, until - ` + now + ` FROM millrace_idempotency WHERE key = ?1 AND until > ` + now,
			complete: `
UPDATE millrace_idempotency SET state = ?1, outcome = ?2, until = ` + now + ` + ?3, kept = NULL WHERE key = ?4 AND token = ?5`,
			published: `UPDATE millrace_idempotency SET state = 3, outcome = NULL WHERE key = ?1 AND state = 2`,
			release: `
UPDATE millrace_idempotency SET token = ` + nobody + `, until = 0, kept = ` + now + ` + ?2,
	failed = failed + ?1, first_failure = CASE WHEN failed + ?1 > 0 THEN coalesce(first_failure, ` + now + `) END
WHERE key = ?3 AND token = ?4 AND state = 1`,
			dropped: `DELETE FROM millrace_idempotency WHERE key = ?1 AND token = ?2 AND state = 1`,
			forget:  `DELETE FROM millrace_idempotency WHERE key = ?1 AND state = 1 AND until <= ` + now,
			sweep: `DELETE FROM millrace_idempotency WHERE key IN
(SELECT key FROM millrace_idempotency WHERE coalesce(kept, until) <= ` + now + ` ORDER BY coalesce(kept, until) LIMIT ?1)`,
		},
		explain: explainSQLite,
		unreachable: func(_ *sql.Conn, err error) bool {
			code := sqliteCode(err)
			return code != 0 && code != sqlite3.SQLITE_CONSTRAINT
		},
	}
}

func explainSQLite(err error) error {
	if sqliteCode(err) == sqlite3.SQLITE_BUSY {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// sqliteCode returns the primary result code of an error, 0 for none (https://www.sqlite.org/rescode.html).
func sqliteCode(err error) int {
	if failure, ok := errors.AsType[*sqlite.Error](err); ok {
		return failure.Code() & 0xff
	}
	return 0
}
