package text

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Decode returns the event that a record carries, as the runtime reads it: a CloudEvent in binary or structured mode, or
// the JSON envelope.
func Decode(m kafkabinding.Message) (event.Event, error) {
	e, err := kafkabinding.Decode(m)
	if !errors.Is(err, kafkabinding.ErrNotCloudEvent) {
		return e, err
	}
	e, err = envelope.Decode(m.Value)
	if errors.Is(err, envelope.ErrNotEnvelope) {
		err = errors.New("neither a CloudEvent nor a JSON envelope")
	}
	return e, err
}

// ShortType is an event's type without the prefix that all types of this project share.
func ShortType(name string) string { return strings.TrimPrefix(name, "dev.millrace.") }

// What a line shows of a record, in bytes. [AppendJSON] shows all of it.
const (
	maxShownWord = 128
	maxShownData = 4 << 10
)

// AppendLine appends a line for a person: time, partition@offset, key, short type, id, correlation id and data, or what
// keeps the record from being an event. Everything is escaped, but with raw the data is as it is.
func AppendLine(dst []byte, r *pipeline.Record, raw bool) []byte {
	at := r.Timestamp.Local() //nolint:gosmopolitan // a person at a terminal reads local time
	dst = at.AppendFormat(dst, "2006-01-02 15:04:05.000")
	dst = fmt.Appendf(dst, "  %d@%d  %s  ", r.Partition, r.Offset, word(r.Key))
	data := r.Value
	if e, err := Decode(r.Message); err != nil {
		dst = fmt.Appendf(dst, "not an event: %s  ", Escaped(err.Error()))
	} else {
		dst = appendAttributes(dst, e)
		data = e.DataEncoded
	}
	return append(appendData(dst, data, raw), '\n')
}

func appendAttributes(dst []byte, e event.Event) []byte {
	dst = fmt.Appendf(dst, "%s  id=%s  ", word([]byte(ShortType(e.Type()))), word([]byte(e.ID())))
	if correlation, ok := e.Extensions()["correlationid"].(string); ok {
		dst = fmt.Appendf(dst, "correlation=%s  ", word([]byte(correlation)))
	}
	return dst
}

// word shows a key or an id. Null is a hyphen, empty is two quotes.
func word(b []byte) string {
	switch {
	case b == nil:
		return "-"
	case len(b) == 0:
		return `""`
	case len(b) > maxShownWord:
		return Escaped(string(b[:maxShownWord])) + "…"
	}
	return Escaped(string(b))
}

func appendData(dst, data []byte, raw bool) []byte {
	switch {
	case raw:
		return append(dst, data...)
	case data == nil:
		return append(dst, "(null)"...)
	case len(data) == 0:
		return append(dst, "(empty)"...)
	case !utf8.Valid(data):
		return fmt.Appendf(dst, "(%d bytes, not text)", len(data))
	}
	if compact := jsontext.Value(strings.Clone(string(data))); compact.Compact() == nil {
		data = compact
	}
	if len(data) <= maxShownData {
		return AppendEscaped(dst, string(data))
	}
	return fmt.Appendf(AppendEscaped(dst, string(data[:maxShownData])), "… (%d bytes; --json shows all)", len(data))
}

// Bytes is a key, a value or part of a header as JSON: null is null, UTF-8 is a string, anything else is
// {"base64": "…"}.
type Bytes []byte

// MarshalJSONTo implements [json.MarshalerTo].
func (b Bytes) MarshalJSONTo(out *jsontext.Encoder) error {
	switch {
	case b == nil:
		return out.WriteToken(jsontext.Null)
	case utf8.Valid(b):
		return out.WriteToken(jsontext.String(string(b)))
	}
	return json.MarshalEncode(out, map[string]string{"base64": base64.StdEncoding.EncodeToString(b)})
}

type record struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Timestamp time.Time `json:"timestamp"`
	Key       Bytes     `json:"key"`
	// Headers are name and value: names may repeat, their order counts.
	Headers [][2]Bytes     `json:"headers"`
	Value   Bytes          `json:"value"`
	Event   jsontext.Value `json:"event,omitzero"`
	Error   string         `json:"error,omitzero"`
}

// AppendJSON appends a line with a JSON object: topic, partition, offset, timestamp, key, headers, value, and event in
// the JSON event format, or error.
func AppendJSON(dst []byte, r *pipeline.Record) ([]byte, error) {
	out := record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC(),
		Key: r.Key, Value: r.Value, Headers: make([][2]Bytes, len(r.Headers)),
	}
	for i, h := range r.Headers {
		out.Headers[i] = [2]Bytes{h.Key, h.Value}
	}
	if e, err := Decode(r.Message); err != nil {
		out.Error = err.Error()
	} else if m, err := kafkabinding.Encode(e, kafkabinding.Structured); err != nil {
		out.Error = err.Error()
	} else {
		out.Event = m.Value
	}
	return AppendJSONLine(dst, out)
}

// AppendJSONLine appends v as one line of JSON that does no harm in a terminal.
func AppendJSONLine(dst []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if err != nil {
		return dst, err
	}
	return append(appendEscapedJSON(dst, text), '\n'), nil
}
