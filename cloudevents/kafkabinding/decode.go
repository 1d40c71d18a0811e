package kafkabinding

import (
	"fmt"
	"maps"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Decode returns the event that a message carries, in binary or structured mode. The event satisfies
// [event.Event.Validate].
//
// The event's data aliases the message's value: copy it before either is changed or outlives the other. Attributes are
// copied.
//
// In binary mode all extensions are strings. In structured mode they are strings, bools or int32s, as the JSON is.
//
// Errors are [ErrNotCloudEvent], for a message that does not claim to be a CloudEvent, and [*DecodeError], for one that
// does and is none.
func Decode(m Message) (event.Event, error) {
	for i := range m.Headers {
		if h := &m.Headers[i]; string(h.Key) == contentTypeHeader && isStructured(h.Value) {
			return decodeStructured(m, h.Value)
		}
	}
	return decodeBinary(m)
}

func decodeBinary(m Message) (event.Event, error) {
	var d draft
	defect := d.readHeaders(m.Headers)
	if d.core[specVersion] == nil && d.core[id] == nil && d.core[source] == nil && d.core[eventType] == nil {
		return event.Event{}, ErrNotCloudEvent
	}
	if defect != nil {
		return event.Event{}, defect
	}
	e, defect := d.event()
	if defect != nil {
		defect.Header = headerOf(defect.Attribute)
		return event.Event{}, defect
	}
	e.DataEncoded = m.Value
	return e, nil
}

// draft is an event's attributes as they stand in a message.
type draft struct {
	core       [coreAttributes][]byte // nil: not there
	extensions []draftExtension
	few        [8]draftExtension // where extensions starts
}

type draftExtension struct {
	name  string
	text  []byte // the value of a string
	typed any    // the value of a bool or an int32; JSON null has neither
}

// readHeaders takes the attributes from headers. It reads all of them and returns the first defect.
func (d *draft) readHeaders(headers []Header) (first *DecodeError) {
	d.extensions = d.few[:0]
	for i := range headers {
		if defect := d.readHeader(&headers[i]); defect != nil && first == nil {
			first = defect
		}
	}
	return first
}

func (d *draft) readHeader(h *Header) *DecodeError {
	a := attributeOfHeader(h.Key)
	switch {
	case a == none:
		return nil
	case h.Value == nil:
		return headerDefect(h, reasonNull)
	case a == extension:
		name, reason := names.get(h.Key[len(prefix):])
		if reason != "" {
			return headerDefect(h, reason)
		}
		d.extensions = append(d.extensions, draftExtension{name: name.text, text: h.Value})
	case d.core[a] != nil:
		return headerDefect(h, reasonRepeated)
	default:
		d.core[a] = h.Value
	}
	return nil
}

func headerDefect(h *Header, reason string) *DecodeError {
	header := string(h.Key)
	name := strings.TrimPrefix(header, prefix)
	if header == contentTypeHeader {
		name = attributeNames[dataContentType]
	}
	return &DecodeError{Header: cut(header), Attribute: cut(name), Reason: reason}
}

// allocation is what an event's context points to, in one piece. It is the event's own: what a user may change through
// a pointer is not shared with other events.
type allocation struct {
	context     event.EventContextV1
	time        types.Timestamp
	subject     string
	contentType string
}

// event returns the event without its data.
func (d *draft) event() (event.Event, *DecodeError) {
	if defect := d.checkVersion(); defect != nil {
		return event.Event{}, defect
	}
	a := new(allocation)
	if defect := d.fillCached(a); defect != nil {
		return event.Event{}, defect
	}
	if defect := d.fillTime(a); defect != nil {
		return event.Event{}, defect
	}
	if defect := d.fillText(a); defect != nil {
		return event.Event{}, defect
	}
	return event.Event{Context: &a.context}, nil
}

func (d *draft) checkVersion() *DecodeError {
	for a := specVersion; a <= eventType; a++ {
		if d.core[a] == nil {
			return defectOf(a, reasonMissing)
		}
	}
	if v := d.core[specVersion]; string(v) != version {
		return defectOf(specVersion, fmt.Sprintf("is %q, only %s is supported", cut(string(v)), version))
	}
	return nil
}

// fillCached sets the attributes whose values repeat from event to event.
func (d *draft) fillCached(a *allocation) *DecodeError {
	from, reason := sources.get(d.core[source])
	if reason != "" {
		return defectOf(source, reason)
	}
	a.context.Source = from.value

	kind, reason := eventTypes.get(d.core[eventType])
	if reason != "" {
		return defectOf(eventType, reason)
	}
	a.context.Type = kind.text

	if text := d.core[dataContentType]; text != nil {
		media, reason := contentTypes.get(text)
		if reason != "" {
			return defectOf(dataContentType, reason)
		}
		a.contentType = media.text
		a.context.DataContentType = &a.contentType
	}
	if text := d.core[dataSchema]; text != nil {
		schema, reason := dataSchemas.get(text)
		if reason != "" {
			return defectOf(dataSchema, reason)
		}
		own := schema.value
		a.context.DataSchema = &own
	}
	return nil
}

func (d *draft) fillTime(a *allocation) *DecodeError {
	text := d.core[eventTime]
	if text == nil {
		return nil
	}
	t, ok := parseTime(text)
	if !ok {
		return defectOf(eventTime, reasonTime)
	}
	if !t.IsZero() { // which the SDK takes for unset
		a.time.Time = t
		a.context.Time = &a.time
	}
	return nil
}

// fillText sets id, subject and the extensions. Their texts share one string.
func (d *draft) fillText(a *allocation) *DecodeError {
	var joined strings.Builder
	joined.Grow(d.textSize())
	add := func(text []byte) string {
		start := joined.Len()
		joined.Write(text)
		return joined.String()[start:]
	}
	a.context.ID = add(d.core[id])
	if reason := checkRequired(a.context.ID); reason != "" {
		return defectOf(id, reason)
	}
	if text := d.core[subject]; text != nil {
		a.subject = add(text)
		a.context.Subject = &a.subject
		if reason := checkRequired(a.subject); reason != "" {
			return defectOf(subject, reason)
		}
	}
	return d.fillExtensions(a, add)
}

func (d *draft) fillExtensions(a *allocation, add func([]byte) string) *DecodeError {
	if len(d.extensions) == 0 {
		return nil
	}
	extensions := make(map[string]any, len(d.extensions))
	unset := 0
	for i := range d.extensions {
		x := &d.extensions[i]
		value := x.typed
		switch {
		case x.text != nil:
			text := add(x.text)
			if reason := checkText(text); reason != "" {
				return &DecodeError{Attribute: cut(x.name), Reason: reason}
			}
			value = text
		case value == nil:
			unset++
		}
		extensions[x.name] = value
		if len(extensions) == i {
			return &DecodeError{Attribute: cut(x.name), Reason: reasonRepeated}
		}
	}
	if unset > 0 {
		maps.DeleteFunc(extensions, func(_ string, value any) bool { return value == nil })
	}
	a.context.Extensions = extensions
	return nil
}

func (d *draft) textSize() int {
	size := len(d.core[id]) + len(d.core[subject])
	for i := range d.extensions {
		size += len(d.extensions[i].text)
	}
	return size
}

func defectOf(a attribute, reason string) *DecodeError {
	return &DecodeError{Attribute: attributeNames[a], Reason: reason}
}
