package eventstore

import (
	"bytes"
	"database/sql"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/runtime/internal/eventrow"
)

// The limits of what is stored.
const (
	// MaxStream is the length of a stream's name, in bytes.
	MaxStream = 255
	// MaxEvents is how many events one append takes, MaxWrites to how many streams.
	MaxEvents = 1000
	MaxWrites = 100
	// MaxEvent is the size of an event, attributes and data, in bytes. A record of Kafka holds 1 MB by default.
	MaxEvent = eventrow.MaxSize
	// MaxAppend is the size of all events of an append, in bytes.
	MaxAppend = 16 << 20
	// MaxMetadata is the size of the metadata of a Write as JSON, in bytes.
	MaxMetadata = 16 << 10
	// MaxSnapshot is the size of a snapshot's state, in bytes.
	MaxSnapshot = 16 << 20
)

// batch is a Write as it is stored.
type batch struct {
	stream   string
	expected Expected
	rows     []row
	metadata sql.NullString
}

// row is an event as it is stored.
type row struct {
	eventrow.Row

	id       string
	identity []byte // of source and id
}

// encode checks writes against the limits.
func encode(writes []Write) ([]batch, error) {
	if len(writes) == 0 || len(writes) > MaxWrites {
		return nil, &InvalidError{Reason: fmt.Sprintf("an append to %d streams, it must be 1 to %d", len(writes), MaxWrites)}
	}
	batches := make([]batch, len(writes))
	streams, identities := map[string]bool{}, map[string]bool{}
	size := 0
	for i, w := range writes {
		b, err := encodeWrite(w)
		if err != nil {
			return nil, err
		}
		if streams[w.Stream] {
			return nil, &InvalidError{Stream: w.Stream, Reason: "stands twice in one append"}
		}
		streams[w.Stream] = true
		for _, r := range b.rows {
			if identities[string(r.identity)] {
				return nil, &InvalidError{Stream: w.Stream, ID: r.id, Reason: "its source and id stand twice in one append"}
			}
			identities[string(r.identity)] = true
			size += r.Size()
		}
		batches[i] = b
	}
	if len(identities) > MaxEvents || size > MaxAppend {
		return nil, &InvalidError{Stream: writes[0].Stream, Reason: fmt.Sprintf(
			"an append of %d events with %d bytes, it may have %d with %d", len(identities), size, MaxEvents, MaxAppend)}
	}
	return batches, nil
}

func encodeWrite(w Write) (batch, error) {
	b := batch{stream: w.Stream, expected: w.Expected}
	if err := checkStream(w.Stream); err != nil {
		return batch{}, err
	}
	if w.Expected <= impossible {
		return batch{}, &InvalidError{Stream: w.Stream, Reason: "the expected version is negative"}
	}
	if len(w.Events) == 0 || len(w.Events) > MaxEvents {
		return batch{}, &InvalidError{Stream: w.Stream, Reason: fmt.Sprintf("%d events, it must be 1 to %d", len(w.Events), MaxEvents)}
	}
	for _, e := range w.Events {
		r, err := encodeEvent(e)
		if err != nil {
			return batch{}, &InvalidError{Stream: w.Stream, ID: eventrow.ID(e), Reason: err.Error()}
		}
		b.rows = append(b.rows, r)
	}
	if len(w.Metadata) > 0 {
		text, err := json.Marshal(w.Metadata, json.Deterministic(true))
		if err != nil || len(text) > MaxMetadata {
			return batch{}, &InvalidError{Stream: w.Stream, Reason: fmt.Sprintf("the metadata must be UTF-8 and take at most %d bytes", MaxMetadata)}
		}
		b.metadata = sql.NullString{String: string(text), Valid: true}
	}
	return b, nil
}

func checkStream(stream string) error {
	if stream == "" || len(stream) > MaxStream || !utf8.ValidString(stream) || strings.ContainsFunc(stream, unicode.IsControl) {
		return &InvalidError{Stream: cut(stream), Reason: fmt.Sprintf("its name must be 1 to %d bytes of UTF-8 without control characters", MaxStream)}
	}
	return nil
}

func encodeEvent(e event.Event) (row, error) {
	encoded, err := eventrow.Encode(e)
	if err != nil {
		return row{}, err
	}
	return row{id: e.ID(), identity: eventrow.Sum(e.Source(), e.ID()), Row: encoded}, nil
}

// attempt are the attributes that tell of the attempt to make an event rather than of the event.
var attempt = []string{"time", "traceparent", "tracestate"}

// sameContent tells whether two rows hold the same event, but for the attempt to make it.
func sameContent(a, b row) (bool, error) {
	if (a.Data == nil) != (b.Data == nil) || !bytes.Equal(a.Data, b.Data) {
		return false, nil
	}
	var attributes [2]map[string]jsontext.Value
	for i, r := range []row{a, b} {
		if err := json.Unmarshal([]byte(r.Attributes), &attributes[i]); err != nil {
			return false, fmt.Errorf("attributes of event %q: %w", cut(r.id), err)
		}
		for _, name := range attempt {
			delete(attributes[i], name)
		}
	}
	return maps.EqualFunc(attributes[0], attributes[1], func(a, b jsontext.Value) bool { return bytes.Equal(a, b) }), nil
}

// columns are what scan reads, beside the time.
const columns = "position, stream, version, identity, attributes, data, data IS NOT NULL, base64, metadata, "

// scanned is a row of the table of events.
type scanned struct {
	row

	stream            string
	version, position int64
	metadata          sql.NullString
	microseconds      int64
}

// scan reads the columns and the time.
func scan(rows *sql.Rows) (scanned, error) {
	var s scanned
	var hasData bool
	err := rows.Scan(&s.position, &s.stream, &s.version, &s.identity, &s.Attributes, &s.Data, &hasData, &s.Base64, &s.metadata, &s.microseconds)
	if hasData && s.Data == nil { // as drivers return empty data
		s.Data = []byte{}
	}
	return s, err
}

// recorded decodes a row and brings its event up to date.
func (s scanned) recorded(upcasters chain) (Recorded, error) {
	r := Recorded{Stream: s.stream, Version: s.version, Position: s.position, RecordedAt: time.UnixMicro(s.microseconds).UTC()}
	var err error
	if r.Event, err = s.Event(); err == nil {
		r.Event, err = upcasters.upcast(r.Event)
	}
	if err == nil && s.metadata.Valid {
		err = json.Unmarshal([]byte(s.metadata.String), &r.Metadata)
	}
	if err != nil {
		return Recorded{}, &UnreadableError{Stream: s.stream, Version: s.version, Position: s.position, Err: err}
	}
	return r, nil
}
