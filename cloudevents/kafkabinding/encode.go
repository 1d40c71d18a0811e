package kafkabinding

import (
	"encoding/base64"
	"fmt"
	"slices"
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

// Encode returns the message that carries e. Its key is null: the key is the caller's, or see [EncodeKeyed].
//
// Headers stand in a fixed order: specversion, id, source, type, subject, time, dataschema, the extensions by name, the
// content type. Times are written in UTC.
//
// In binary mode the message's value is the event's data itself, not a copy. In structured mode data is written as JSON
// or text where datacontenttype says so and the data bears it out, otherwise as base64.
//
// An event that does not satisfy [event.Event.Validate], or that [Decode] would refuse, is an [*EncodeError].
func Encode(e event.Event, mode Mode) (Message, error) { return encode(&e, mode, false) }

// EncodeKeyed is [Encode] with the key that [PartitionKey] returns.
func EncodeKeyed(e event.Event, mode Mode) (Message, error) { return encode(&e, mode, true) }

func encode(e *event.Event, mode Mode, keyed bool) (m Message, err error) {
	var few [len(usual)]writerExtension // more move to the heap
	var w writer
	var refusal *EncodeError
	if w.extensions, refusal = w.read(e, few[:0]); refusal != nil {
		return Message{}, refusal
	}
	if keyed {
		w.key = w.partitionKey()
	}
	switch mode {
	case Binary:
		m.Key, m.Headers = w.headers()
		m.Value = e.DataEncoded
		return m, nil
	case Structured:
		m = w.structured(e.DataEncoded, e.DataBase64)
		if w.key != "" {
			m.Key = []byte(w.key)
		}
		return m, nil
	}
	return Message{}, fmt.Errorf("kafkabinding: unknown %s", mode)
}

// Validate returns the [*EncodeError] with which Encode would refuse e, nil where it would not.
func Validate(e event.Event) error {
	var few [len(usual)]writerExtension // more move to the heap
	var w writer
	if _, err := w.read(&e, few[:0]); err != nil {
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
	text, ok := ec.Extensions[partitionKey].(string)
	if !ok {
		var err error
		if text, err = types.Format(ec.Extensions[partitionKey]); err != nil {
			return nil, false
		}
	}
	if text == "" {
		return nil, false
	}
	return []byte(text), true
}

// The names of the headers that the specification defines, in one text, and where each of them stands in it.
const (
	nameText = prefix + "specversion" + prefix + "id" + prefix + "source" + prefix + "type" + prefix + "subject" +
		prefix + "time" + contentTypeHeader

	endOfSpecVersion = len(prefix + "specversion")
	endOfID          = endOfSpecVersion + len(prefix+"id")
	endOfSource      = endOfID + len(prefix+"source")
	endOfType        = endOfSource + len(prefix+"type")
	endOfSubject     = endOfType + len(prefix+"subject")
	endOfTime        = endOfSubject + len(prefix+"time")
	endOfContentType = endOfTime + len(contentTypeHeader)
)

// headers returns the key and the headers of a message in binary mode. Their texts share one piece of memory; no two overlap,
// and appending to one does not change the next.
func (w *writer) headers() (key []byte, list []Header) {
	size, count := w.headerSize()
	text := append(make([]byte, 0, size), nameText...)
	list = make([]Header, 0, count)
	name := (*[len(nameText)]byte)(text)
	text, list = appendHeader(text, list, name[:endOfSpecVersion:endOfSpecVersion], version)
	text, list = appendHeader(text, list, name[endOfSpecVersion:endOfID:endOfID], w.context.ID)
	text, list = appendHeader(text, list, name[endOfID:endOfSource:endOfSource], w.source)
	text, list = appendHeader(text, list, name[endOfSource:endOfType:endOfType], w.context.Type)
	if w.context.Subject != nil {
		text, list = appendHeader(text, list, name[endOfType:endOfSubject:endOfSubject], *w.context.Subject)
	}
	if w.hasTime {
		start := len(text)
		text = appendTime(text, w.context.Time.Time)
		list = append(list, Header{Key: name[endOfSubject:endOfTime:endOfTime], Value: text[start:len(text):len(text)]})
	}
	if w.dataSchema != "" {
		text, list = appendNamed(text, list, attributeNames[dataSchema], w.dataSchema)
	}
	for i := range w.extensions {
		text, list = appendNamed(text, list, w.extensions[i].name, w.extensions[i].text)
	}
	if w.contentType != "" {
		text, list = appendHeader(text, list, name[endOfTime:endOfContentType:endOfContentType], w.contentType)
	}
	if w.key != "" {
		start := len(text)
		text = append(text, w.key...)
		key = text[start:len(text):len(text)]
	}
	return key, list
}

// appendNamed appends the header of an attribute whose name is not in text yet.
func appendNamed(text []byte, list []Header, name, value string) ([]byte, []Header) {
	start := len(text)
	text = append(append(text, prefix...), name...)
	return appendHeader(text, list, text[start:len(text):len(text)], value)
}

// appendHeader appends value to text and a header to list, which has room for it. It sets the fields of the header where it
// stands: one that is built elsewhere and copied costs several times as much, as processors wait before they load in one
// piece what was stored in two.
func appendHeader(text []byte, list []Header, key []byte, value string) ([]byte, []Header) {
	start := len(text)
	text = append(text, value...)
	list = list[:len(list)+1]
	h := &list[len(list)-1]
	h.Key, h.Value = key, text[start:len(text):len(text)]
	return text, list
}

// headerSize returns how many headers there are, and room enough for their texts.
func (w *writer) headerSize() (size, count int) {
	size, count = len(nameText)+len(version)+len(w.context.ID)+len(w.source)+len(w.context.Type)+len(w.key), 4
	if w.context.Subject != nil {
		size, count = size+len(*w.context.Subject), count+1
	}
	if w.hasTime {
		size, count = size+len(longestTime), count+1
	}
	if w.dataSchema != "" {
		size, count = size+len(prefix)+len("dataschema")+len(w.dataSchema), count+1
	}
	if w.contentType != "" {
		size, count = size+len(w.contentType), count+1
	}
	for i := range w.extensions {
		size += len(prefix) + len(w.extensions[i].name) + len(w.extensions[i].text)
	}
	return size, count + len(w.extensions)
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
	header := []byte(contentTypeHeader + structuredContentType)
	const end = len(contentTypeHeader)
	return Message{Value: slices.Clip(text), Headers: []Header{{Key: header[:end:end], Value: header[end:]}}}
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
