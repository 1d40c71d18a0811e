package eventstore

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// The limits of what is stored.
const (
	// MaxStream is the length of a stream's name, in bytes.
	MaxStream = 255
	// MaxEvents is how many events one append takes, MaxWrites to how many streams.
	MaxEvents = 1000
	MaxWrites = 100
	// MaxEvent is the size of an event, attributes and data, in bytes. A record of Kafka holds 1 MB by default.
	MaxEvent = 1 << 20
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
	id         string
	identity   []byte
	attributes string
	data       []byte // nil: none
	base64     bool
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
			size += len(r.attributes) + len(r.data)
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
			return batch{}, &InvalidError{Stream: w.Stream, ID: eventID(e), Reason: err.Error()}
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

// eventID returns the id of an event that may have no context.
func eventID(e event.Event) string {
	if e.Context == nil {
		return ""
	}
	return e.ID()
}

func encodeEvent(e event.Event) (row, error) {
	if err := kafkabinding.Validate(e); err != nil {
		return row{}, err
	}
	if size := len(e.DataEncoded); size > MaxEvent {
		return row{}, fmt.Errorf("%d bytes of data, an event may have %d with its attributes", size, MaxEvent)
	}
	r := row{id: e.ID(), identity: identity(e.Source(), e.ID()), data: e.DataEncoded, base64: e.DataBase64}
	e.DataEncoded, e.DataBase64 = nil, false
	message, err := kafkabinding.Encode(e, kafkabinding.Structured)
	if err != nil {
		return row{}, err
	}
	r.attributes = string(message.Value)
	if size := len(r.attributes) + len(r.data); size > MaxEvent {
		return row{}, fmt.Errorf("%d bytes, an event may have %d", size, MaxEvent)
	}
	return r, nil
}

// identity is what stands for source and id: texts of any length become 32 bytes, different ones others.
func identity(source, id string) []byte {
	h := sha256.New()
	for _, part := range []string{source, id} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// structured is the header that marks the CloudEvents JSON format.
var structured = []kafkabinding.Header{{Key: []byte("content-type"), Value: []byte(event.ApplicationCloudEventsJSON)}}

func decodeEvent(r row) (event.Event, error) {
	e, err := kafkabinding.Decode(kafkabinding.Message{Value: []byte(r.attributes), Headers: structured})
	if err != nil {
		return event.Event{}, err
	}
	e.DataEncoded, e.DataBase64 = r.data, r.base64
	return e, nil
}

// attempt are the attributes that tell of the attempt to make an event rather than of the event.
var attempt = []string{"time", "traceparent", "tracestate"}

// sameContent tells whether two rows hold the same event, but for the attempt to make it.
func sameContent(a, b row) (bool, error) {
	if (a.data == nil) != (b.data == nil) || !bytes.Equal(a.data, b.data) {
		return false, nil
	}
	var attributes [2]map[string]jsontext.Value
	for i, r := range []row{a, b} {
		if err := json.Unmarshal([]byte(r.attributes), &attributes[i]); err != nil {
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
	err := rows.Scan(&s.position, &s.stream, &s.version, &s.identity, &s.attributes, &s.data, &hasData, &s.base64, &s.metadata, &s.microseconds)
	if hasData && s.data == nil { // as drivers return empty data
		s.data = []byte{}
	}
	return s, err
}

// recorded decodes a row and brings its event up to date.
func (s scanned) recorded(upcasters chain) (Recorded, error) {
	r := Recorded{Stream: s.stream, Version: s.version, Position: s.position, RecordedAt: time.UnixMicro(s.microseconds).UTC()}
	var err error
	if r.Event, err = decodeEvent(s.row); err == nil {
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
