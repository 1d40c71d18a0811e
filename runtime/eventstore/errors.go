package eventstore

import (
	"errors"
	"fmt"
)

// ErrNested is the answer to a call that needs a transaction of its own, made with the context of one: it could wait for
// itself. Within [Store.Transact] use [Store.In].
var ErrNested = errors.New("the context is that of a transaction of this store: use Store.In with the transaction")

// errTransient is the end of an append that others disturbed each time it was tried.
var errTransient = errors.New("other writers were always faster")

// ConflictError is the answer to an append to a stream that has another version than its writer expects. Nothing of the
// append was stored. Read the stream, decide anew, append again.
type ConflictError struct {
	Stream   string
	Expected Expected
	// Actual is the version of the stream's last event, 0 where it has none.
	Actual int64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("stream %s has version %d, its writer expects %s", e.Stream, e.Actual, e.Expected)
}

// DuplicateError is the answer to an append of an event whose source and id belong to a stored one, where it is no
// repetition of the append that stored it. Nothing of the append was stored, and trying again is of no use.
type DuplicateError struct {
	// Stream and ID are those of the event that was to be appended.
	Stream, ID string
	// StoredStream and StoredVersion tell where the stored event is.
	StoredStream  string
	StoredVersion int64
	// Reason says what makes it no repetition.
	Reason string
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("event %q for stream %s has the source and id of version %d of stream %s, but is no repetition of it: %s",
		cut(e.ID), e.Stream, e.StoredVersion, e.StoredStream, e.Reason)
}

// InvalidError is the answer to arguments that no store takes. Nothing was stored, and trying again is of no use.
type InvalidError struct {
	// Stream is the stream's name, cut where it is long.
	Stream string
	// ID is the event's id, empty where the reason is not about an event.
	ID     string
	Reason string
}

func (e *InvalidError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("stream %q: %s", e.Stream, e.Reason)
	}
	return fmt.Sprintf("stream %q, event %q: %s", e.Stream, cut(e.ID), e.Reason)
}

// UnreadableError is the answer to reading an event that cannot be decoded, or that an upcaster fails on. Reading stops
// there: to pass by an event would be to lose it.
type UnreadableError struct {
	Stream   string
	Version  int64
	Position int64
	Err      error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("stream %s, version %d (position %d): %v", e.Stream, e.Version, e.Position, e.Err)
}

// Unwrap returns what went wrong.
func (e *UnreadableError) Unwrap() error { return e.Err }

// cut shortens what others chose the length of.
func cut(s string) string { return s[:min(len(s), 200)] }
