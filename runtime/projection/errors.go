package projection

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/runtime/eventstore"
)

// StoppedError says that a projection stands before an event that it cannot take. What it knows stays as it is and is
// still read; nothing is skipped. It goes on by itself when the code takes the event: correct Apply, or bring the event up to
// date by an upcaster of the store, and start that. A cause that passes, such as a full disk, needs nothing.
type StoppedError struct {
	Projection string
	Schema     int
	Generation int64
	Stop
	// Err is the answer of Apply, or an [*eventstore.UnreadableError].
	Err error
}

// Stop is the event that a projection stands before, and why.
type Stop struct {
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Position int64  `json:"position"`
	// EventID and EventType are empty where the event cannot be decoded.
	EventID   string `json:"eventId,omitzero"`
	EventType string `json:"eventType,omitzero"`
	// Reason is the text of the error, at most 1,000 bytes.
	Reason string `json:"reason"`
	// Since is when it stopped there, by the clock of the process that did, in UTC.
	Since time.Time `json:"since"`
}

func (e *StoppedError) Error() string {
	event := "an event that cannot be decoded"
	if e.EventID != "" {
		event = fmt.Sprintf("event %q (%s)", e.EventID, e.EventType)
	}
	return fmt.Sprintf("projection %s (schema %d, generation %d) stopped before %s, version %d of stream %s, position %d: %v; "+
		"nothing is skipped: correct the code, or add an upcaster, and it goes on from there",
		e.Projection, e.Schema, e.Generation, event, e.Version, e.Stream, e.Position, e.Err)
}

// Unwrap returns what went wrong.
func (e *StoppedError) Unwrap() error { return e.Err }

// NotBuiltError says that there is nothing to answer queries from yet. It passes when somebody follows the projection.
type NotBuiltError struct {
	Projection string
	Schema     int
}

func (e *NotBuiltError) Error() string {
	return fmt.Sprintf("projection %s (schema %d) is not built yet: start what follows it, or wait until it has caught up", e.Projection, e.Schema)
}

// applyError is Apply's error for one event of a page.
type applyError struct {
	index int
	err   error
}

func (e *applyError) Error() string { return e.err.Error() }

func (e *applyError) Unwrap() error { return e.err }

// errMoved: another process brought the generation on, or dropped it.
var errMoved = errors.New("another process was faster")

// maxReason is how long a Stop's reason may be.
const maxReason = 1000

// stopBefore returns the Stop before an event that Apply does not take.
func stopBefore(r eventstore.Recorded, err error) Stop {
	return Stop{
		Stream: r.Stream, Version: r.Version, Position: r.Position,
		EventID: cut(r.Event.ID(), maxReason), EventType: cut(r.Event.Type(), maxReason),
		Reason: cut(err.Error(), maxReason),
	}
}

// cut shortens what others chose the length of, and leaves out what databases do not take as text.
func cut(s string, size int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), size)], "\uFFFD"), "\x00", "\uFFFD")
}
