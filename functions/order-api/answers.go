package orderapi

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

//go:embed migrations
var migrations embed.FS

// answer is what a request that changed something got.
type answer struct {
	sum      fingerprint
	status   int
	location string
	etag     string
	body     []byte
}

// answers remembers the answers to requests with an Idempotency-Key.
type answers struct{ db *database.DB }

// openAnswers creates the table of answers where it is missing.
func openAnswers(ctx context.Context, db *database.DB) (answers, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return answers{}, err
	}
	return answers{db}, db.Migrate(ctx, files, "migrations_of_order_api")
}

// find returns the answer that is remembered for a key, nil where there is none.
func (s answers) find(ctx context.Context, key string) (*answer, error) {
	var a answer
	var sum []byte
	err := s.db.Read().QueryRowContext(ctx,
		`SELECT fingerprint, status, location, etag, body FROM order_api_answers WHERE idempotency_key = $1`, key,
	).Scan(&sum, &a.status, &a.location, &a.etag, &a.body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, function.Unavailable(orderstore.Dependency, fmt.Errorf("look for the answer to an Idempotency-Key: %w", err))
	}
	copy(a.sum[:], sum)
	return &a, nil
}

// keep remembers an answer in the transaction of the change that it tells of. The error is errKeyTaken where another request
// has the key.
func (s answers) keep(ctx context.Context, tx *sql.Tx, key string, a *answer) error {
	result, err := tx.ExecContext(ctx,
		`INSERT INTO order_api_answers (idempotency_key, fingerprint, status, location, etag, body, answered_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		key, a.sum[:], a.status, a.location, a.etag, a.body, time.Now().UnixMicro())
	if err != nil {
		return function.Unavailable(orderstore.Dependency, fmt.Errorf("keep the answer to an Idempotency-Key: %w", err))
	}
	if kept, err := result.RowsAffected(); err != nil || kept == 0 {
		return errors.Join(errKeyTaken, err)
	}
	return nil
}

// sweepAtOnce is how many answers one statement forgets, so that no transaction is long.
const sweepAtOnce = 1000

// sweep forgets what was answered before a time.
func (s answers) sweep(ctx context.Context, before time.Time) error {
	for {
		forgotten, err := s.forget(ctx, before)
		if err != nil {
			return fmt.Errorf("forget answers to Idempotency-Keys: %w", err)
		}
		if forgotten < sweepAtOnce {
			return nil
		}
	}
}

// forget forgets the oldest answers, as many as are forgotten at once.
func (s answers) forget(ctx context.Context, before time.Time) (forgotten int64, err error) {
	err = s.db.Transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx,
			`DELETE FROM order_api_answers WHERE idempotency_key IN
			(SELECT idempotency_key FROM order_api_answers WHERE answered_at < $1 ORDER BY answered_at LIMIT $2)`,
			before.UnixMicro(), sweepAtOnce)
		if err != nil {
			return err
		}
		forgotten, err = result.RowsAffected()
		return err
	})
	return forgotten, err
}

// chore sweeps every hour.
func (s answers) chore(kept time.Duration) function.Chore {
	return function.Chore{
		Name: "idempotency-keys", Every: time.Hour,
		Run: func(ctx context.Context, _ function.Publish) error {
			return s.sweep(ctx, time.Now().Add(-kept))
		},
	}
}

// reply returns the answer as it was given.
func (a *answer) reply(replayed bool) *reply {
	r := &reply{Status: a.status, ContentType: mediaJSON, Location: a.location, Etag: a.etag, Body: a.body}
	if replayed {
		r.Replayed = "true"
	}
	return r
}
