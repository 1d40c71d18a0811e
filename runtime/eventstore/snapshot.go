package eventstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Snapshot is the state that a stream's events up to a version make. It is a cache: whoever finds none reads the events.
type Snapshot struct {
	Stream  string
	Version int64
	// Schema is the form of State, which the reader's code decides. Change it when the state, or how events make it, changes.
	Schema int
	// State is at most MaxSnapshot bytes.
	State []byte
}

// SaveSnapshot keeps a snapshot in place of the stream's last one, unless that has the same schema and no lower version. The
// stream must have the version, so that no state is kept that was never stored; else the error is an [*InvalidError]. In
// Transact's context it returns [ErrNested].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot Snapshot) error {
	if s.nested(ctx) {
		return ErrNested
	}
	return s.saveSnapshot(ctx, s.db.Write(), snapshot)
}

// SaveSnapshot is [Store.SaveSnapshot] in the transaction.
func (t *Transaction) SaveSnapshot(ctx context.Context, snapshot Snapshot) error {
	return t.store.saveSnapshot(ctx, t.tx, snapshot)
}

func (s *Store) saveSnapshot(ctx context.Context, q querier, n Snapshot) error {
	if err := checkStream(n.Stream); err != nil {
		return err
	}
	if len(n.State) > MaxSnapshot {
		return &InvalidError{Stream: n.Stream, Reason: fmt.Sprintf("a snapshot of %d bytes, it may have %d", len(n.State), MaxSnapshot)}
	}
	actual, err := s.version(ctx, q, n.Stream)
	if err == nil && (n.Version < 1 || n.Version > actual) {
		return &InvalidError{Stream: n.Stream, Reason: fmt.Sprintf("a snapshot of version %d, the stream has %d", n.Version, actual)}
	}
	if err == nil {
		_, err = q.ExecContext(ctx, `
INSERT INTO millrace_snapshots AS s (stream, version, schema, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, schema = excluded.schema, state = excluded.state
WHERE s.schema <> excluded.schema OR s.version < excluded.version`, n.Stream, n.Version, n.Schema, append([]byte{}, n.State...))
	}
	if err != nil {
		return fmt.Errorf("save the snapshot of stream %s: %w", n.Stream, err)
	}
	return nil
}

// LoadSnapshot returns the last snapshot of a stream, nil where there is none of this schema.
func (s *Store) LoadSnapshot(ctx context.Context, stream string, schema int) (*Snapshot, error) {
	return s.loadSnapshot(ctx, s.db.Read(), stream, schema)
}

// LoadSnapshot is [Store.LoadSnapshot] in the transaction.
func (t *Transaction) LoadSnapshot(ctx context.Context, stream string, schema int) (*Snapshot, error) {
	return t.store.loadSnapshot(ctx, t.tx, stream, schema)
}

func (s *Store) loadSnapshot(ctx context.Context, q querier, stream string, schema int) (*Snapshot, error) {
	if err := checkStream(stream); err != nil {
		return nil, err
	}
	n := Snapshot{Stream: stream, Schema: schema}
	err := q.QueryRowContext(ctx, `SELECT version, state FROM millrace_snapshots WHERE stream = $1 AND schema = $2`, stream, schema).
		Scan(&n.Version, &n.State)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load the snapshot of stream %s: %w", stream, err)
	}
	return &n, nil
}

// DeleteSnapshots forgets the snapshots of all streams, as after a mistake in the code that made them. It may run while
// the store is used.
func (s *Store) DeleteSnapshots(ctx context.Context) error {
	if s.nested(ctx) {
		return ErrNested
	}
	if _, err := s.db.Write().ExecContext(ctx, "DELETE FROM millrace_snapshots"); err != nil {
		return fmt.Errorf("delete snapshots: %w", err)
	}
	return nil
}
