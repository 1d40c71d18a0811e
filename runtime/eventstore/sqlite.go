package eventstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// newSQLite returns the dialect of SQLite. One transaction writes at a time, so positions are in the order of commits.
func newSQLite() *dialect {
	return &dialect{
		microseconds: "recorded",
		refuses:      func(batches []batch) bool { return len(batches) == 1 },
		append:       appendSQLite,
		horizon: func(ctx context.Context, q querier) (position int64, err error) {
			err = q.QueryRowContext(ctx, "SELECT coalesce(max(position), 0) FROM millrace_events").Scan(&position)
			return position, err
		},
	}
}

// The statements move a stream from the version that is expected on, by as many events as are appended, unless one of them is
// stored, and return its new version. Arguments: stream, events, expected version, identities, whose list takes the place of %s.
const (
	beginStreamSQLite = `
INSERT INTO millrace_streams AS s (stream, version)
SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM millrace_events WHERE identity IN (%s))
ON CONFLICT (stream) DO UPDATE SET version = s.version + ?2 WHERE ?3 = -1
RETURNING version`
	continueStreamSQLite = `
UPDATE millrace_streams SET version = version + ?2
WHERE stream = ?1 AND (version = ?3 OR ?3 = -2) AND NOT EXISTS (SELECT 1 FROM millrace_events WHERE identity IN (%s))
RETURNING version`
	insertSQLite = `INSERT INTO millrace_events (stream, version, identity, attributes, data, base64, metadata) VALUES `
	rowSQLite    = `, (?, ?, ?, ?, ?, ?, ?)`
)

func appendSQLite(ctx context.Context, q querier, b batch) (Appended, bool, error) {
	statement := continueStreamSQLite
	if b.expected == NoStream || b.expected == Any {
		statement = beginStreamSQLite
	}
	a := Appended{Stream: b.stream}
	moved := []any{b.stream, len(b.rows), int64(b.expected)}
	var list strings.Builder
	for _, r := range b.rows {
		moved = append(moved, r.identity)
		list.WriteString(", ?" + strconv.Itoa(len(moved)))
	}
	err := q.QueryRowContext(ctx, fmt.Sprintf(statement, list.String()[2:]), moved...).Scan(&a.Version)
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
