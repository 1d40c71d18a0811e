//go:build lambda.norpc && !sqlite

package idempotency

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// OpenSQLite returns an error: on Lambda no file outlives the process, so a program that is built for it has no SQLite.
func OpenSQLite(context.Context, string, time.Duration, *slog.Logger) (*SQL, error) {
	return nil, errors.New("this program was built without SQLite: set IDEMPOTENCY_STORE to postgres or redis, or build it without the tag lambda.norpc")
}
