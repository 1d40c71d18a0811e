package kafkabinding

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/go-json-experiment/json/jsontext"
)

// Mode is a content mode of the binding.
type Mode int

// The content modes.
const (
	// Binary puts attributes into headers and leaves the data as it is.
	Binary Mode = iota
	// Structured puts attributes and data into a JSON object.
	Structured
)

// String returns "binary" or "structured".
func (m Mode) String() string {
	switch m {
	case Binary:
		return "binary"
	case Structured:
		return "structured"
	}
	return fmt.Sprintf("mode %d", int(m))
}

const structuredContentType = event.ApplicationCloudEventsJSON + "; charset=UTF-8"

// Encode returns the message that carries e. Its key is null: the key is the caller's, see [PartitionKey].
//
// Headers stand in a fixed order: specversion, id, source, type, subject, time, dataschema, the extensions by name, the
// content type. Times are written in UTC.
//
// In binary mode the message's value is the event's data itself, not a copy. In structured mode data is written as JSON
// or text where datacontenttype says so and the data bears it out, otherwise as base64.
//
// An event that does not satisfy [event.Event.Validate], or that [Decode] would refuse, is an [*EncodeError].
func Encode(e event.Event, mode Mode) (Message, error) {
	w := writers.Get().(*writer)
	defer w.release()
	if err := w.take(e); err != nil {
		return Message{}, err
	}
	switch mode {
	case Binary:
		return w.binary(), nil
	case Structured:
		return w.structured(), nil
	}
	return Message{}, fmt.Errorf("kafkabinding.Encode: unknown %s", mode)
}

// Validate returns the [*EncodeError] with which Encode would refuse e, nil where it would not.
func Validate(e event.Event) error {
	w := writers.Get().(*writer)
	defer w.release()
	if err := w.take(e); err != nil {
		return err
	}
	return nil
}

// PartitionKey returns the record key that the extension partitionkey asks for, and whether there is one: the opt-in key
// mapper of the binding. The event keeps the extension.
func PartitionKey(e event.Event) (key []byte, ok bool) {
	ec, ok := e.Context.(*event.EventContextV1)
	if !ok || ec == nil {
		return nil, false
	}
	value, ok := ec.Extensions["partitionkey"]
	if !ok {
		return nil, false
	}
	text, err := types.Format(value)
	if err != nil || text == "" {
		return nil, false
	}
	return []byte(text), true
}

// headers collects headers whose texts share one piece of memory. No two headers overlap, and appending to one does not
// change the next.
type headers struct {
	text []byte
	list []Header
}

func (h *headers) add(key, name, value string) {
	start := len(h.text)
	h.text = append(append(h.text, key...), name...)
	h.addValue(start, append(h.text, value...))
}

func (h *headers) addTime(key, name string, value time.Time) {
	start := len(h.text)
	h.text = append(append(h.text, key...), name...)
	h.addValue(start, value.AppendFormat(h.text, time.RFC3339Nano))
}

// addValue adds the header whose key starts at start and ends where h.text does, and whose value is what text has more.
func (h *headers) addValue(start int, text []byte) {
	middle, end := len(h.text), len(text)
	h.text = text
	h.list = append(h.list, Header{Key: text[start:middle:middle], Value: text[middle:end:end]})
}

func (w *writer) binary() Message {
	h := headers{
		text: make([]byte, 0, w.size()),
		list: make([]Header, 0, int(coreAttributes)+len(w.extensions)),
	}
	h.add(prefix, attributeNames[specVersion], version)
	h.add(prefix, attributeNames[id], w.context.ID)
	h.add(prefix, attributeNames[source], w.source)
	h.add(prefix, attributeNames[eventType], w.context.Type)
	if w.context.Subject != nil {
		h.add(prefix, attributeNames[subject], *w.context.Subject)
	}
	if !w.time.IsZero() {
		h.addTime(prefix, attributeNames[eventTime], w.time)
	}
	if w.dataSchema != "" {
		h.add(prefix, attributeNames[dataSchema], w.dataSchema)
	}
	for _, x := range w.extensions {
		h.add(prefix, x.name, x.text)
	}
	if w.contentType != "" {
		h.add(contentTypeHeader, "", w.contentType)
	}
	return Message{Value: w.data, Headers: h.list}
}

// size is about the number of bytes that the event without its data takes up, in either mode.
func (w *writer) size() int {
	const names = 160 // of the defined attributes, with prefix or quotes, and a time
	n := names + len(w.context.ID) + len(w.source) + len(w.context.Type) + len(w.dataSchema) + len(w.contentType)
	if w.context.Subject != nil {
		n += len(*w.context.Subject)
	}
	for i := range w.extensions {
		n += len(`,"":""`) + len(w.extensions[i].name) + len(w.extensions[i].text)
	}
	return n
}

func (w *writer) structured() Message {
	size := w.size() + len(contentTypeHeader) + len(structuredContentType) + len(`,"data_base64":""`)
	if w.base64 {
		size += base64.StdEncoding.EncodedLen(len(w.data))
	} else {
		size += len(w.data)
	}
	text := append(make([]byte, 0, size), `{"specversion":"`+version+`"`...)
	text = w.appendAttributes(text)
	text = w.appendData(text)
	text = append(text, '}')
	h := headers{text: text, list: make([]Header, 0, 1)}
	h.add(contentTypeHeader, "", structuredContentType)
	return Message{Value: text[:len(text):len(text)], Headers: h.list}
}

func (w *writer) appendAttributes(text []byte) []byte {
	text = appendMember(text, attributeNames[id], w.context.ID)
	text = appendMember(text, attributeNames[source], w.source)
	text = appendMember(text, attributeNames[eventType], w.context.Type)
	if w.context.Subject != nil {
		text = appendMember(text, attributeNames[subject], *w.context.Subject)
	}
	if !w.time.IsZero() {
		text = append(appendName(text, attributeNames[eventTime]), '"')
		text = append(w.time.AppendFormat(text, time.RFC3339Nano), '"')
	}
	if w.dataSchema != "" {
		text = appendMember(text, attributeNames[dataSchema], w.dataSchema)
	}
	for _, x := range w.extensions {
		if x.plain {
			text = append(appendName(text, x.name), x.text...)
		} else {
			text = appendMember(text, x.name, x.text)
		}
	}
	if w.contentType != "" {
		text = appendMember(text, attributeNames[dataContentType], w.contentType)
	}
	return text
}

func (w *writer) appendData(text []byte) []byte {
	switch {
	case w.data == nil:
		return text
	case w.base64:
	case w.json && isJSON(w.data):
		return append(appendName(text, memberData), w.data...)
	case !w.json && utf8.Valid(w.data):
		return appendQuoted(appendName(text, memberData), w.data)
	}
	text = append(appendName(text, memberBase64), '"')
	return append(base64.StdEncoding.AppendEncode(text, w.data), '"')
}

func appendName(text []byte, name string) []byte {
	return append(append(append(text, `,"`...), name...), `":`...)
}

func appendMember(text []byte, name, value string) []byte {
	return appendQuoted(appendName(text, name), value)
}

// appendQuoted appends value, which is UTF-8, as a JSON string.
func appendQuoted[T string | []byte](text []byte, value T) []byte {
	text, _ = jsontext.AppendQuote(text, value) // fails for what is not UTF-8 only
	return text
}

// isJSON tells whether data is one JSON value that may stand in the event's object.
func isJSON(data []byte) bool {
	const maxDepth = 10_000 // of the tokenizer; the object takes one level
	if !jsontext.Value(data).IsValid(anyNames) {
		return false
	}
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) < maxDepth {
		return true
	}
	return jsontext.Value(slices.Concat([]byte("["), data, []byte("]"))).IsValid(anyNames)
}
