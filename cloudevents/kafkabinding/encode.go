package kafkabinding

import (
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
	var few [4]writerExtension // more move to the heap
	w, err := newWriter(e, few[:0])
	if err != nil {
		return Message{}, err
	}
	switch mode {
	case Binary:
		return Message{Value: e.DataEncoded, Headers: w.headers()}, nil
	case Structured:
		return w.structured(e.DataEncoded, e.DataBase64), nil
	}
	return Message{}, fmt.Errorf("kafkabinding.Encode: unknown %s", mode)
}

// Validate returns the [*EncodeError] with which Encode would refuse e, nil where it would not.
func Validate(e event.Event) error {
	if _, err := newWriter(e, nil); err != nil {
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

// headerList collects headers whose texts share one piece of memory. No two headers overlap, and appending to one does not
// change the next.
type headerList struct {
	text []byte
	list []Header
}

func (h *headerList) add(key, value string) {
	start := len(h.text)
	h.text = append(h.text, key...)
	h.addValue(start, append(h.text, value...))
}

func (h *headerList) addTime(key string, value time.Time) {
	start := len(h.text)
	h.text = append(h.text, key...)
	h.addValue(start, appendTime(h.text, value))
}

func (h *headerList) addExtension(name, value string) {
	start := len(h.text)
	h.text = append(append(h.text, prefix...), name...)
	h.addValue(start, append(h.text, value...))
}

// addValue adds the header whose key starts at start and ends where h.text does, and whose value is what text has more.
func (h *headerList) addValue(start int, text []byte) {
	middle, end := len(h.text), len(text)
	h.text = text
	h.list = append(h.list, Header{Key: text[start:middle:middle], Value: text[middle:end:end]})
}

// headers returns the headers of a message in binary mode.
func (w *writer) headers() []Header {
	size, count := w.size(len(prefix))
	h := headerList{text: make([]byte, 0, size), list: make([]Header, 0, count)}
	h.add(headerNames[specVersion], version)
	h.add(headerNames[id], w.context.ID)
	h.add(headerNames[source], w.source)
	h.add(headerNames[eventType], w.context.Type)
	if w.context.Subject != nil {
		h.add(headerNames[subject], *w.context.Subject)
	}
	if w.hasTime {
		h.addTime(headerNames[eventTime], w.context.Time.Time)
	}
	if w.dataSchema != "" {
		h.add(headerNames[dataSchema], w.dataSchema)
	}
	for i := range w.extensions {
		h.addExtension(w.extensions[i].name, w.extensions[i].text)
	}
	if w.contentType != "" {
		h.add(headerNames[dataContentType], w.contentType)
	}
	return h.list
}

// size returns how many attributes the event has, and how many bytes they take up when each takes overhead beside its
// name and value. It is an estimate: escapes take more.
func (w *writer) size(overhead int) (size, count int) {
	const (
		required = len("specversion") + len(version) + len("id") + len("source") + len("type")
		longest  = len("time") + len("2006-01-02T15:04:05.999999999Z")
	)
	size, count = required+len(w.context.ID)+len(w.source)+len(w.context.Type), 4
	if w.context.Subject != nil {
		size, count = size+len("subject")+len(*w.context.Subject), count+1
	}
	if w.hasTime {
		size, count = size+longest, count+1
	}
	if w.dataSchema != "" {
		size, count = size+len("dataschema")+len(w.dataSchema), count+1
	}
	if w.contentType != "" {
		size, count = size+len("datacontenttype")+len(w.contentType), count+1
	}
	for i := range w.extensions {
		size += len(w.extensions[i].name) + len(w.extensions[i].text)
	}
	count += len(w.extensions)
	return size + count*overhead, count
}

// structured returns the message in structured mode. binary says that JSON is to hold data as base64.
func (w *writer) structured(data []byte, binary bool) Message {
	size, _ := w.size(len(`,"":""`))
	size += len(contentTypeHeader) + len(structuredContentType) + len(`{,"data_base64":""}`)
	if binary {
		size += base64.StdEncoding.EncodedLen(len(data))
	} else {
		size += len(data)
	}
	text := append(make([]byte, 0, size), `{"specversion":"`+version+`"`...)
	text = w.appendAttributes(text)
	text = append(w.appendData(text, data, binary), '}')
	h := headerList{text: text, list: make([]Header, 0, 1)}
	h.add(contentTypeHeader, structuredContentType)
	return Message{Value: slices.Clip(text), Headers: h.list}
}

func (w *writer) appendAttributes(text []byte) []byte {
	text = appendMember(text, attributeNames[id], w.context.ID)
	text = appendMember(text, attributeNames[source], w.source)
	text = appendMember(text, attributeNames[eventType], w.context.Type)
	if w.context.Subject != nil {
		text = appendMember(text, attributeNames[subject], *w.context.Subject)
	}
	if w.hasTime {
		text = append(appendName(text, attributeNames[eventTime]), '"')
		text = append(appendTime(text, w.context.Time.Time), '"')
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

func (w *writer) appendData(text, data []byte, binary bool) []byte {
	switch {
	case data == nil:
		return text
	case binary:
	case w.json && isJSON(data, maxDepth-1):
		return append(appendName(text, memberData), data...)
	case !w.json && utf8.Valid(data):
		return appendQuoted(appendName(text, memberData), data)
	}
	text = append(appendName(text, memberBase64), '"')
	return append(base64.StdEncoding.AppendEncode(text, data), '"')
}

func appendName(text []byte, name string) []byte {
	return append(append(append(text, `,"`...), name...), `":`...)
}

func appendMember(text []byte, name, value string) []byte {
	return appendQuoted(appendName(text, name), value)
}

// appendQuoted appends value, which is UTF-8, as a JSON string.
func appendQuoted[T string | []byte](text []byte, value T) []byte {
	if plain(value) == len(value) {
		return append(append(append(text, '"'), value...), '"')
	}
	text, _ = jsontext.AppendQuote(text, value) // fails for what is not UTF-8 only
	return text
}
