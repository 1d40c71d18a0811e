package eventstore

import (
	"context"
	"fmt"
)

// MaxRead is how many events one read returns at most. A page also ends with the event that makes it larger than 16 MiB.
const MaxRead = 1000

// ReadStream returns the events of a stream after a version, 0 for the beginning, in their order: at most limit, or fewer
// where they are large. limit is 1 to MaxRead. None are left, or the stream does not exist, where none are returned. The
// error is an [*UnreadableError] where the first of them cannot be decoded.
func (s *Store) ReadStream(ctx context.Context, stream string, after int64, limit int) ([]Recorded, error) {
	return s.readStream(ctx, s.db.Read(), stream, after, limit)
}

// ReadStream is [Store.ReadStream] in the transaction: it sees what was appended there.
func (t *Transaction) ReadStream(ctx context.Context, stream string, after int64, limit int) ([]Recorded, error) {
	return t.store.readStream(ctx, t.tx, stream, after, limit)
}

func (s *Store) readStream(ctx context.Context, q querier, stream string, after int64, limit int) ([]Recorded, error) {
	if err := checkStream(stream); err != nil {
		return nil, err
	}
	recorded, err := s.page(ctx, q, limit, "stream = $2 AND version > $3 ORDER BY version", stream, after)
	if err != nil {
		return nil, fmt.Errorf("read stream %s after version %d: %w", stream, after, err)
	}
	return recorded, nil
}

// ReadAll returns the events of all streams after a position, 0 for the beginning, in the order of their positions: at most
// limit, or fewer where they are large. limit is 1 to MaxRead. Whoever goes on after the position of the last event that it
// handled misses none, also not one whose transaction commits late: such events, and all with higher positions, are
// returned when it has. None are there now where none are returned; ask again later. The error is an [*UnreadableError]
// where the first of them cannot be decoded.
func (s *Store) ReadAll(ctx context.Context, after int64, limit int) ([]Recorded, error) {
	horizon, err := s.Horizon(ctx)
	if err != nil || horizon <= after {
		return nil, err
	}
	recorded, err := s.page(ctx, s.db.Read(), limit, "position > $2 AND position <= $3 ORDER BY position", after, horizon)
	if err != nil {
		return nil, fmt.Errorf("read all events after position %d: %w", after, err)
	}
	return recorded, nil
}

// Horizon returns the position up to which [Store.ReadAll] reads now: no event can appear at it or before it any more. It is
// that of the last event, or a little lower while events are being appended, or higher where positions were taken in
// vain. What lies between a reader's position and the horizon is its lag, at most.
func (s *Store) Horizon(ctx context.Context) (int64, error) {
	horizon, err := s.dialect.horizon(ctx, s.db.Read())
	if err != nil {
		return 0, fmt.Errorf("look up how far all events can be read: %w", err)
	}
	return horizon, nil
}

// maxPage is the size at which a page ends, in bytes.
const maxPage = 16 << 20

// page reads events by the rest of a statement, whose first argument is the limit.
func (s *Store) page(ctx context.Context, q querier, limit int, rest string, args ...any) ([]Recorded, error) {
	if limit < 1 || limit > MaxRead {
		return nil, fmt.Errorf("limit %d, it must be 1 to %d", limit, MaxRead)
	}
	statement := "SELECT " + columns + s.dialect.microseconds + " FROM millrace_events WHERE " + rest + " LIMIT $1"
	rows, err := q.QueryContext(ctx, statement, append([]any{limit}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []Recorded
	for size := 0; size < maxPage && rows.Next(); {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		r, err := one.recorded(s.upcasters)
		if err != nil && len(page) > 0 {
			return page, nil // the next page begins, and ends, with it
		}
		if err != nil {
			return nil, err
		}
		page = append(page, r)
		size += one.Size()
	}
	return page, rows.Err()
}
