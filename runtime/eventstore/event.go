package eventstore

import (
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Expected is the version that a stream must have for an append to it. The zero value is [NoStream].
type Expected int64

// The expectations that name no version.
const (
	// NoStream: the stream has no events.
	NoStream Expected = 0
	// Any: whatever version it has.
	Any Expected = -1
	// Exists: it has events, however many.
	Exists Expected = -2

	impossible Expected = -3
)

// Exactly returns the expectation that the last event of the stream has the version. Exactly(0) is [NoStream]. A negative
// version makes the append invalid.
func Exactly(version int64) Expected {
	if version < 0 {
		return impossible
	}
	return Expected(version)
}

// String returns the expectation as errors tell it.
func (e Expected) String() string {
	switch {
	case e == NoStream:
		return "no stream"
	case e == Any:
		return "any version"
	case e == Exists:
		return "any version from 1 on"
	case e < 0:
		return "an impossible version"
	}
	return fmt.Sprintf("version %d", int64(e))
}

// Write is what is to be appended to one stream.
type Write struct {
	// Stream names the stream: at most MaxStream bytes of UTF-8 without control characters.
	Stream string
	// Expected is the version that the stream must have. Default: NoStream.
	Expected Expected
	// Events are appended in this order. Each must be valid by CloudEvents 1.0. There must be one at least.
	Events []event.Event
	// Metadata is kept with each of the events and is no part of them: it is not published. It may be nil.
	Metadata map[string]string
}

// Appended tells where the events of a [Write] are.
type Appended struct {
	Stream string
	// Version is that of the last of the events, which was the stream's right then.
	Version int64
	// Position is that of the last of the events.
	Position int64
	// Repeated says that the events were stored before.
	Repeated bool
}

// Recorded is a stored event.
type Recorded struct {
	// Event is the event as it was appended, its data byte by byte, but for upcasters. Extension attributes whose type JSON
	// does not have, as times and bytes, come back in their canonical form as text (CloudEvents 1.0, "Type System").
	Event event.Event
	// Stream is where it is, Version its place there, from 1 on.
	Stream  string
	Version int64
	// Position is its place among all events of the store, from 1 on.
	Position int64
	// RecordedAt is when it was appended, by the clock of the database (SQLite: of this machine), in UTC. It need not rise
	// with the position.
	RecordedAt time.Time
	// Metadata is that of the Write, nil where it was empty.
	Metadata map[string]string
}
