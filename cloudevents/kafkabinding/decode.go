package kafkabinding

import (
	"cmp"
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
	var d draft
	var few [4]draftExtension // more move to the heap
	var defect *DecodeError
	d.extensions, defect = readHeaders(&d.core, m.Headers, few[:0])
	switch {
	case isStructured(d.core[dataContentType]):
		return decodeStructured(m, d.core[dataContentType])
	case !d.claimsEvent():
		return event.Event{}, ErrNotCloudEvent
	case defect != nil:
		return event.Event{}, defect
	}
	e, defect := d.event()
	if defect != nil {
		defect.Header = cut(headerOf(defect.Attribute))
		return event.Event{}, defect
	}
	e.DataEncoded = m.Value
	return e, nil
}

// draft is an event's attributes as they stand in a message.
type draft struct {
	core       coreTexts
	extensions []draftExtension
}

// coreTexts are the values of the attributes that the specification defines. Nil: not there.
type coreTexts [coreAttributes][]byte

type draftExtension struct {
	name  string
	text  []byte // the value of a string
	typed any    // the value of a bool or an int32; JSON null has neither
}

// readHeaders takes the attributes from headers. It reads all of them and returns the first defect.
func readHeaders(core *coreTexts, headers []Header, extensions []draftExtension) (_ []draftExtension, first *DecodeError) {
	for i := range headers {
		h := &headers[i]
		var reason string
		switch a := attributeOfHeader(h.Key); {
		case a == none:
			continue
		case h.Value == nil:
			reason = reasonNull
		case a == extension:
			var name string
			if name, reason = nameOf(h.Key[len(prefix):]); reason == "" {
				extensions = append(extensions, draftExtension{})
				x := &extensions[len(extensions)-1]
				x.name, x.text = name, h.Value
			}
		case core[a] != nil:
			reason = reasonRepeated
		default:
			core[a] = h.Value
		}
		if reason != "" && first == nil {
			first = headerDefect(h, reason)
		}
	}
	return extensions, first
}

// claimsEvent tells whether any required attribute is there.
func (d *draft) claimsEvent() bool {
	return d.core[specVersion] != nil || d.core[id] != nil || d.core[source] != nil || d.core[eventType] != nil
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

	switch text := d.core[dataContentType]; {
	case text == nil:
	case string(text) == event.ApplicationJSON:
		a.contentType = event.ApplicationJSON
		a.context.DataContentType = &a.contentType
	default:
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
	text := d.joinText()
	if reason := text.take(&a.context.ID, len(d.core[id])); reason != "" || blank(a.context.ID) {
		return defectOf(id, cmp.Or(reason, reasonEmpty))
	}
	if s := d.core[subject]; s != nil {
		a.context.Subject = &a.subject
		if reason := text.take(&a.subject, len(s)); reason != "" || blank(a.subject) {
			return defectOf(subject, cmp.Or(reason, reasonEmpty))
		}
	}
	if len(d.extensions) == 0 {
		return nil
	}
	return d.fillExtensions(a, text)
}

// joinedText is what remains to be taken of texts that stand in a row.
type joinedText struct {
	rest  string
	plain bool // there is nothing to check
}

func (d *draft) joinText() joinedText {
	var few [256]byte // on the stack; more move to the heap
	text := append(append(few[:0], d.core[id]...), d.core[subject]...)
	for i := range d.extensions {
		text = append(text, d.extensions[i].text...)
	}
	s := string(text)
	return joinedText{rest: s, plain: printable(s)}
}

// take sets text to the next n bytes, and says what is wrong with them.
func (j *joinedText) take(text *string, n int) (reason string) {
	*text, j.rest = j.rest[:n], j.rest[n:]
	if j.plain {
		return ""
	}
	return checkText(*text)
}

func (d *draft) fillExtensions(a *allocation, text joinedText) *DecodeError {
	extensions := make(map[string]any, len(d.extensions))
	unset := 0
	for i := range d.extensions {
		x := &d.extensions[i]
		value := x.typed
		switch {
		case x.text != nil:
			var s string
			if reason := text.take(&s, len(x.text)); reason != "" {
				return &DecodeError{Attribute: cut(x.name), Reason: reason}
			}
			value = s
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

func defectOf(a attribute, reason string) *DecodeError {
	return &DecodeError{Attribute: attributeNames[a], Reason: reason}
}
