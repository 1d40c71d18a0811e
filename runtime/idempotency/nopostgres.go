//go:build nopostgres

package idempotency

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// OpenPostgres returns an error: the program was built without the client.
func OpenPostgres(context.Context, string, int, time.Duration, *slog.Logger) (*SQL, error) {
	return nil, errors.New("this program was built without PostgreSQL: build it without the tag nopostgres")
}

func isPlaintextPostgres(string) (bool, error) { return false, nil }
