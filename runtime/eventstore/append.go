package eventstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/runtime/database"
)

// appendTries is how often an append is tried that other writers disturb, each time another one.
const appendTries = 10

// Append stores the events of all writes, or none, and tells where they are, in the order of writes. The error is a
// [*ConflictError] where a stream has another version than is expected, a [*DuplicateError] where an event is stored
// already and this is no repetition, and an [*InvalidError] where the arguments exceed a limit. After any other error the
// events may be stored or not, as when the answer of the database was lost: repeat the same call.
//
// In Transact's context it returns [ErrNested].
func (s *Store) Append(ctx context.Context, writes ...Write) ([]Appended, error) {
	if s.nested(ctx) {
		return nil, ErrNested
	}
	batches, err := encode(writes)
	if err != nil {
		return nil, err
	}
	for range appendTries {
		appended, err := s.try(ctx, batches)
		if err == nil || !isRefusal(err) {
			return appended, wrap(batches, err)
		}
		appended, err = s.explain(ctx, s.db.Read(), batches)
		if err == nil || !errors.Is(err, errTransient) {
			return appended, wrap(batches, err)
		}
	}
	return nil, wrap(batches, errTransient)
}

// Append is [Store.Append] in the transaction: what it stores is there when the transaction commits. When it returns an
// error the transaction is as it was before the call and may go on, unless its connection is broken. A stream that was
// appended to is closed to other writers until the transaction ends.
func (t *Transaction) Append(ctx context.Context, writes ...Write) ([]Appended, error) {
	batches, err := encode(writes)
	if err != nil {
		return nil, err
	}
	for range appendTries {
		appended, err := t.try(ctx, batches)
		if err == nil || !isRefusal(err) || database.IsTransient(err) { // the whole transaction has to be tried again
			return appended, wrap(batches, err)
		}
		appended, err = t.store.explain(ctx, t.tx, batches)
		if err == nil || !errors.Is(err, errTransient) {
			return appended, wrap(batches, err)
		}
	}
	return nil, wrap(batches, errTransient)
}

// wrap says where err came about, unless it says so itself.
func wrap(batches []batch, err error) error {
	_, conflict := errors.AsType[*ConflictError](err)
	_, duplicate := errors.AsType[*DuplicateError](err)
	if err == nil || conflict || duplicate {
		return err
	}
	return fmt.Errorf("append to stream %s: %w", batches[0].stream, err)
}

// errRefused: a stream has another version than is expected.
var errRefused = errors.New("another version")

// isRefusal tells whether nothing was stored because of what is stored, or of others that write.
func isRefusal(err error) bool {
	return errors.Is(err, errRefused) || database.IsDuplicate(err) || database.IsTransient(err)
}

// try appends in a transaction of its own.
func (s *Store) try(ctx context.Context, batches []batch) ([]Appended, error) {
	if s.dialect.alone && len(batches) == 1 {
		return s.store(ctx, s.db.Write(), batches)
	}
	var appended []Appended
	err := s.db.Transact(ctx, func(tx *sql.Tx) (err error) {
		appended, err = s.store(ctx, tx, batches)
		return err
	})
	return appended, err
}

// try appends, or leaves the transaction as it was.
func (t *Transaction) try(ctx context.Context, batches []batch) ([]Appended, error) {
	if len(batches) == 1 {
		a, ok, err := t.store.dialect.appendOrUndo(ctx, t.tx, batches[0])
		if err == nil && !ok {
			err = errRefused
		}
		return []Appended{a}, err
	}
	if _, err := t.tx.ExecContext(ctx, "SAVEPOINT millrace_append"); err != nil {
		return nil, err
	}
	appended, err := t.store.store(ctx, t.tx, batches)
	if err != nil {
		_, undo := t.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT millrace_append")
		if undo != nil {
			return nil, fmt.Errorf("%w; and the transaction cannot go on: %w", err, undo)
		}
	}
	_, release := t.tx.ExecContext(ctx, "RELEASE SAVEPOINT millrace_append")
	return appended, errors.Join(err, release)
}

// store appends all batches. After an error it may have stored some.
func (s *Store) store(ctx context.Context, q querier, batches []batch) ([]Appended, error) {
	if s.dialect.lock != nil && len(batches) > 1 {
		streams := make([]string, len(batches))
		for i, b := range batches {
			streams[i] = b.stream
		}
		slices.Sort(streams)
		if err := s.dialect.lock(ctx, q, streams); err != nil {
			return nil, err
		}
	}
	appended := make([]Appended, len(batches))
	for i, b := range batches {
		a, ok, err := s.dialect.append(ctx, q, b)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errRefused
		}
		appended[i] = a
	}
	return appended, nil
}

// explain looks at what stands in the way of an append: nothing, where it is repeated; a conflict; another event. It is
// errTransient where that is gone.
func (s *Store) explain(ctx context.Context, q querier, batches []batch) ([]Appended, error) {
	stored, err := s.find(ctx, q, batches)
	if err != nil {
		return nil, err
	}
	if len(stored) > 0 {
		return repeated(batches, stored)
	}
	for _, b := range batches {
		actual, err := s.version(ctx, q, b.stream)
		if err != nil {
			return nil, err
		}
		if !b.expected.allows(actual) {
			return nil, &ConflictError{Stream: b.stream, Expected: b.expected, Actual: actual}
		}
	}
	return nil, errTransient
}

func (e Expected) allows(actual int64) bool {
	return e == Any || int64(e) == actual || (e == Exists && actual > 0)
}

// repeated tells where all events are, given those that are stored, or how they differ.
func repeated(batches []batch, stored map[string]scanned) ([]Appended, error) {
	var missing string
	var there *DuplicateError
	appended := make([]Appended, len(batches))
	for i, b := range batches {
		for place, r := range b.rows {
			s, ok := stored[string(r.identity)]
			if !ok {
				missing = r.id
				continue
			}
			duplicate := &DuplicateError{Stream: b.stream, ID: r.id, StoredStream: s.stream, StoredVersion: s.version}
			same, err := sameContent(r, s.row)
			switch first, ok := stored[string(b.rows[0].identity)]; {
			case err != nil:
				return nil, err
			case !same:
				duplicate.Reason = "its content is another"
			case s.stream != b.stream:
				duplicate.Reason = "that is another stream"
			case ok && s.version != first.version+int64(place):
				duplicate.Reason = "they are stored in another order"
			}
			if duplicate.Reason != "" {
				return nil, duplicate
			}
			there = duplicate
			appended[i] = Appended{Stream: b.stream, Version: s.version, Position: s.position, Repeated: true}
		}
	}
	if missing != "" {
		there.Reason = fmt.Sprintf("event %q, which is to be appended with it, is not stored", cut(missing))
		return nil, there
	}
	return appended, nil
}

// find returns the stored events that have the identities of batches.
func (s *Store) find(ctx context.Context, q querier, batches []batch) (map[string]scanned, error) {
	var list strings.Builder
	var identities []any
	for _, b := range batches {
		for _, r := range b.rows {
			identities = append(identities, r.identity)
			list.WriteString(", $" + strconv.Itoa(len(identities)))
		}
	}
	found := map[string]scanned{}
	const where = " FROM millrace_events WHERE identity IN ("
	rows, err := q.QueryContext(ctx, "SELECT "+columns+s.dialect.microseconds+where+list.String()[2:]+")", identities...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found[string(one.identity)] = one
	}
	return found, rows.Err()
}

// version returns the version of a stream's last event, 0 where it has none.
func (s *Store) version(ctx context.Context, q querier, stream string) (version int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT version FROM millrace_streams WHERE stream = $1", stream).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return version, err
}
