package eventstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/millrace/millrace/runtime/database"
)

// newSQLite returns the dialect of SQLite. One transaction writes at a time, so positions are in the order of commits.
func newSQLite() *dialect {
	return &dialect{
		microseconds: "recorded",
		append:       appendSQLite,
		appendOrUndo: appendOrUndoSQLite,
		horizon: func(ctx context.Context, q querier) (position int64, err error) {
			err = q.QueryRowContext(ctx, "SELECT coalesce(max(position), 0) FROM millrace_events").Scan(&position)
			return position, err
		},
	}
}

// The statements move a stream from the version that is expected on, by as many events as are appended, and return its new
// version. Arguments: stream, events, expected version.
const (
	beginStreamSQLite = `
INSERT INTO millrace_streams AS s (stream, version) VALUES (?1, ?2)
ON CONFLICT (stream) DO UPDATE SET version = s.version + ?2 WHERE ?3 = -1
RETURNING version`
	continueStreamSQLite = `
UPDATE millrace_streams SET version = version + ?2 WHERE stream = ?1 AND (version = ?3 OR ?3 = -2)
RETURNING version`
	// The statements move a stream back. Arguments: stream, events.
	forgetStreamSQLite  = `DELETE FROM millrace_streams WHERE stream = ?1 AND version = ?2`
	restoreStreamSQLite = `UPDATE millrace_streams SET version = version - ?2 WHERE stream = ?1`
	insertSQLite        = `INSERT INTO millrace_events (stream, version, identity, attributes, data, base64, metadata) VALUES `
	rowSQLite           = `, (?, ?, ?, ?, ?, ?, ?)`
)

func appendSQLite(ctx context.Context, q querier, b batch) (Appended, bool, error) {
	statement := continueStreamSQLite
	if b.expected == NoStream || b.expected == Any {
		statement = beginStreamSQLite
	}
	a := Appended{Stream: b.stream}
	err := q.QueryRowContext(ctx, statement, b.stream, len(b.rows), int64(b.expected)).Scan(&a.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return Appended{}, false, nil
	}
	if err != nil {
		return Appended{}, false, err
	}
	before := a.Version - int64(len(b.rows))
	args := make([]any, 0, 7*len(b.rows))
	for i, r := range b.rows {
		args = append(args, b.stream, before+int64(i)+1, r.identity, r.Attributes, r.Data, r.Base64, b.metadata)
	}
	inserted, err := q.ExecContext(ctx, insertSQLite+strings.Repeat(rowSQLite, len(b.rows))[2:], args...)
	if err != nil {
		return Appended{}, false, err
	}
	a.Position, err = inserted.LastInsertId()
	return a, err == nil, err
}

// appendOrUndoSQLite: an INSERT that fails stores none of its rows, and the transaction goes on. What is left is to move the
// stream back.
func appendOrUndoSQLite(ctx context.Context, q querier, b batch) (Appended, bool, error) {
	a, ok, err := appendSQLite(ctx, q, b)
	if !database.IsDuplicate(err) {
		return a, ok, err
	}
	for _, statement := range []string{forgetStreamSQLite, restoreStreamSQLite} {
		if _, err := q.ExecContext(ctx, statement, b.stream, len(b.rows)); err != nil {
			return Appended{}, false, err
		}
	}
	return Appended{}, false, nil
}
