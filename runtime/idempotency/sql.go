package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/runtime/database"
)

const (
	// freeTimeout is how long a claim waits for a free connection.
	freeTimeout = time.Second
	// sweepEvery is the pause between two removals of what has expired, sweepBatch how many rows one statement removes: a
	// small transaction holds up nobody.
	sweepEvery = time.Minute
	sweepBatch = 1000
	// nobody is the token of a claim that was released.
	nobody = "'00000000-0000-0000-0000-000000000000'"
	// claimTries is how often a claim looks again when the entry that stood in its way is gone.
	claimTries = 3
)

// SQL is a Store in a table of a database, millrace_idempotency, which it creates. Open one with [OpenSQLite] or
// [OpenPostgres]. Expired rows are removed in the background.
type SQL struct {
	db        *sql.DB
	dialect   *dialect
	retention time.Duration

	stop    context.CancelFunc
	stopped chan struct{}
}

// dialect is what databases do differently.
type dialect struct {
	kind database.Kind
	statements

	// lock keeps other transactions away from a key until tx ends, or reports that one is at it. nil: the database has one
	// transaction at a time.
	lock func(ctx context.Context, tx *sql.Tx, key []byte, lease time.Duration) (bool, error)
	// explain makes errors of the driver [ErrBusy] or [ErrLost] where they mean that.
	explain func(error) error
	// unreachable tells whether an error on a connection is the database's failure rather than that of a statement.
	unreachable func(*sql.Conn, error) bool
}

// statements take their arguments in the order of their comments.
type statements struct {
	claim     string // key, function, token, lease in ms, retention in ms; returns failed, crashed, first failure in ms since 1970
	look      string // key; returns state, outcome, remaining ms
	complete  string // state, outcome, retention in ms, key, token
	published string // key
	release   string // 1 where the attempt failed or 0, retention in ms, key, token
	dropped   string // key, token
	forget    string // key
	sweep     string // most rows
}

// openSQL creates the table, or brings that of an older release up to date, and starts the removal of what has expired. It
// closes db when it fails.
func openSQL(ctx context.Context, db *sql.DB, d *dialect, retention time.Duration, log *slog.Logger) (*SQL, error) {
	s := &SQL{db: db, dialect: d, retention: retention, stopped: make(chan struct{})}
	if err := database.Migrate(ctx, db, d.kind, migrations(), migrationsTable); err != nil {
		return nil, errors.Join(fmt.Errorf("idempotency store: %w", err), db.Close())
	}
	var sweeping context.Context
	sweeping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	go s.sweep(sweeping, log)
	return s, nil
}

// Close implements [Store].
func (s *SQL) Close() error {
	s.stop()
	<-s.stopped
	return s.db.Close()
}

// Claim implements [Store].
func (s *SQL) Claim(ctx context.Context, key Key, token Token, lease time.Duration) (Entry, error) {
	conn, err := s.connection(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer conn.Close()
	return s.claim(ctx, conn, key, token, lease)
}

// connection waits for a free connection, but not for long: a worker that waits does nothing else.
func (s *SQL) connection(ctx context.Context) (*sql.Conn, error) {
	short, cancel := context.WithTimeout(ctx, freeTimeout)
	defer cancel()
	conn, err := s.db.Conn(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		if stats := s.db.Stats(); stats.InUse >= stats.MaxOpenConnections {
			return nil, ErrBusy
		}
	}
	return conn, s.dialect.explain(err)
}

// querier is a connection or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *SQL) claim(ctx context.Context, q querier, key Key, token Token, lease time.Duration) (Entry, error) {
	sum := key.sum()
	for range claimTries {
		var failed, crashed, first int64
		err := q.QueryRowContext(ctx, s.dialect.claim, sum, key.Function, token.String(), lease.Milliseconds(), s.retention.Milliseconds()).
			Scan(&failed, &crashed, &first)
		if err == nil {
			return Entry{State: Claimed, Past: past(failed, crashed, first)}, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return Entry{}, s.dialect.explain(err)
		}
		entry, remaining, err := s.look(ctx, q, sum)
		switch {
		case errors.Is(err, sql.ErrNoRows): // released, or expired, a moment ago
		case err != nil:
			return Entry{}, s.dialect.explain(err)
		case entry.State == Claimed:
			return Entry{}, &HeldError{Key: key, Remaining: remaining}
		default:
			return entry, nil
		}
	}
	return Entry{}, &HeldError{Key: key}
}

// look reads the entry that stands in the way of a claim.
func (s *SQL) look(ctx context.Context, q querier, sum []byte) (entry Entry, remaining time.Duration, err error) {
	var milliseconds int64
	err = q.QueryRowContext(ctx, s.dialect.look, sum).Scan(&entry.State, &entry.Outcome, &milliseconds)
	return entry, time.Duration(milliseconds) * time.Millisecond, err
}

// Complete implements [Store].
func (s *SQL) Complete(ctx context.Context, key Key, token Token, outcome []byte) error {
	return s.complete(ctx, s.db, key, token, outcome)
}

// executor is a database or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *SQL) complete(ctx context.Context, x executor, key Key, token Token, outcome []byte) error {
	state := Completed
	if outcome == nil {
		state = Published
	}
	result, err := x.ExecContext(ctx, s.dialect.complete, state, outcome, s.retention.Milliseconds(), key.sum(), token.String())
	if err != nil {
		return err
	}
	switch rows, err := result.RowsAffected(); {
	case err != nil:
		return err
	case rows == 0:
		return ErrLost
	}
	return nil
}

// Published implements [Store].
func (s *SQL) Published(ctx context.Context, key Key) error {
	_, err := s.db.ExecContext(ctx, s.dialect.published, key.sum())
	return err
}

// Release implements [Store].
func (s *SQL) Release(ctx context.Context, key Key, token Token, end End) error {
	if end == Dropped {
		_, err := s.db.ExecContext(ctx, s.dialect.dropped, key.sum(), token.String())
		return err
	}
	failed := 0
	if end == Failed {
		failed = 1
	}
	_, err := s.db.ExecContext(ctx, s.dialect.release, failed, s.retention.Milliseconds(), key.sum(), token.String())
	return err
}

// Forget implements [Store].
func (s *SQL) Forget(ctx context.Context, key Key) error {
	_, err := s.db.ExecContext(ctx, s.dialect.forget, key.sum())
	return err
}

// sweep removes what has expired until ctx ends. It may run in many processes at once.
func (s *SQL) sweep(ctx context.Context, log *slog.Logger) {
	defer close(s.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
		if err := s.removeExpired(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "expired entries of the idempotency store were not removed; trying again in a minute", "error", err)
		}
	}
}

func (s *SQL) removeExpired(ctx context.Context) error {
	for {
		result, err := s.db.ExecContext(ctx, s.dialect.sweep, sweepBatch)
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil || rows < sweepBatch {
			return err
		}
	}
}
