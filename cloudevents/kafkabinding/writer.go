package kafkabinding

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// writer has the attributes of an event as they are written. All of them are fit for it.
type writer struct {
	context     *event.EventContextV1
	source      string
	contentType string // "": none
	json        bool   // the content type, or its absence, declares JSON
	dataSchema  string // "": none
	hasTime     bool
	extensions  []writerExtension // by name
	key         string            // of the record; "": null
}

type writerExtension struct {
	name  string
	text  string // canonical
	plain bool   // JSON writes text without quotes
}

// read takes the attributes of e, or tells why they cannot be written. The extensions it returns, for which it uses the
// room in space first: what w points to would move to the heap.
func (w *writer) read(e *event.Event, space []writerExtension) (extensions []writerExtension, err *EncodeError) {
	if w.context, err = contextOf(e); err != nil {
		return nil, err
	}
	if err = checkTexts(w.context); err != nil {
		return nil, err
	}
	if w.source, err = sourceOf(w.context); err != nil {
		return nil, err
	}
	if w.dataSchema, err = dataSchemaOf(w.context); err != nil {
		return nil, err
	}
	if w.contentType, w.json, err = contentTypeOf(w.context); err != nil {
		return nil, err
	}
	if w.hasTime, err = hasTime(w.context); err != nil {
		return nil, err
	}
	return extensionsOf(w.context, space)
}

// partitionKey returns the text of the extension that asks for a key, "" where there is none.
func (w *writer) partitionKey() string {
	for i := range w.extensions {
		if w.extensions[i].name == partitionKey {
			return w.extensions[i].text
		}
	}
	return ""
}

func refuse(a attribute, reason string) *EncodeError {
	return &EncodeError{Attribute: attributeNames[a], Reason: reason}
}

func contextOf(e *event.Event) (*event.EventContextV1, *EncodeError) {
	if len(e.FieldErrors) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(e.FieldErrors)))
		return nil, &EncodeError{Attribute: cut(first), Reason: "was given a value that it cannot have"}
	}
	ec, ok := e.Context.(*event.EventContextV1)
	switch {
	case e.Context == nil, ok && ec == nil:
		return nil, refuse(specVersion, reasonMissing)
	case !ok:
		return nil, refuse(specVersion, fmt.Sprintf("is %q, only %s is supported", cut(e.SpecVersion()), version))
	}
	return ec, nil
}

func checkTexts(ec *event.EventContextV1) *EncodeError {
	if reason := checkRequired(ec.ID); reason != "" {
		return refuse(id, reason)
	}
	if reason := checkRequired(ec.Type); reason != "" {
		return refuse(eventType, reason)
	}
	if ec.Subject != nil {
		if reason := checkRequired(*ec.Subject); reason != "" {
			return refuse(subject, reason)
		}
	}
	return nil
}

func sourceOf(ec *event.EventContextV1) (string, *EncodeError) {
	text, plain := textOf(&ec.Source.URL)
	if plain {
		return text, nil
	}
	if _, reason := sources.getString(text); reason != "" {
		return "", refuse(source, reason)
	}
	return text, nil
}

func dataSchemaOf(ec *event.EventContextV1) (string, *EncodeError) {
	if ec.DataSchema == nil {
		return "", nil
	}
	text, _ := textOf(&ec.DataSchema.URL)
	if _, reason := dataSchemas.getString(text); reason != "" {
		return "", refuse(dataSchema, reason)
	}
	return text, nil
}

// inPath are the bytes that need no escape in a path.
var inPath = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-./_" {
		set[c] = true
	}
	return set
}()

// textOf returns u.String(). It is plain, and makes no allocation, where u is a path that begins with a slash and needs no
// escape.
func textOf(u *url.URL) (text string, plain bool) {
	if u.Path == "" || u.Path[0] != '/' || !isPath(u) {
		return u.String(), false
	}
	for i := range len(u.Path) {
		if !inPath[u.Path[i]] {
			return u.String(), false
		}
	}
	return u.Path, true
}

// isPath tells whether u is nothing but its path.
func isPath(u *url.URL) bool {
	return u.Scheme == "" && u.Opaque == "" && u.User == nil && u.Host == "" && !u.OmitHost && u.RawPath == "" &&
		!u.ForceQuery && u.RawQuery == "" && u.Fragment == "" && u.RawFragment == ""
}

func contentTypeOf(ec *event.EventContextV1) (text string, json bool, err *EncodeError) {
	switch {
	case ec.DataContentType == nil:
		return "", true, nil
	case *ec.DataContentType == event.ApplicationJSON:
		return event.ApplicationJSON, true, nil
	}
	media, reason := contentTypes.getString(*ec.DataContentType)
	if reason != "" {
		return "", false, refuse(dataContentType, reason)
	}
	return media.text, media.value.json, nil
}

// hasTime leaves the zero time out, which the SDK takes for unset.
func hasTime(ec *event.EventContextV1) (bool, *EncodeError) {
	switch {
	case ec.Time == nil, ec.Time.IsZero():
		return false, nil
	case !hasRFC3339(ec.Time.Time):
		return false, refuse(eventTime, reasonTime)
	}
	return true, nil
}

// usual are extensions that most events have, and few have others; by name.
var usual = [...]string{"causationid", "correlationid", partitionKey, "traceparent", "tracestate"}

// partitionKey is the extension that asks for a record's key.
const partitionKey = "partitionkey"

// extensionsOf returns the extensions, by name. It uses the room in space first.
func extensionsOf(ec *event.EventContextV1, space []writerExtension) ([]writerExtension, *EncodeError) {
	if len(ec.Extensions) <= len(usual) {
		if extensions := usualOf(ec.Extensions, space); len(extensions) == len(ec.Extensions) {
			return extensions, nil
		}
	}
	for name, value := range ec.Extensions {
		if value == nil { // unset, as for the SDK
			continue
		}
		if reason := checkName(name); reason != "" {
			return nil, &EncodeError{Attribute: cut(name), Reason: reason}
		}
		x, reason := extensionOf(name, value)
		if reason != "" {
			return nil, &EncodeError{Attribute: cut(name), Reason: reason}
		}
		space = append(space, x)
	}
	slices.SortFunc(space, func(a, b writerExtension) int { return strings.Compare(a.name, b.name) })
	return space, nil
}

// usualOf returns the usual extensions that are strings and need no closer look. Asking for them by name is faster than to
// walk a map, to check its keys and to sort them.
func usualOf(all map[string]any, space []writerExtension) []writerExtension {
	for i := range usual {
		if len(space) == len(all) {
			break
		}
		if text, ok := all[usual[i]].(string); ok && printable(text) {
			space = append(space, writerExtension{name: usual[i], text: text})
		}
	}
	return space
}

func extensionOf(name string, value any) (x writerExtension, reason string) {
	if text, ok := value.(string); ok {
		return writerExtension{name: name, text: text}, checkText(text)
	}
	value, err := types.Validate(value)
	if err != nil {
		return x, reasonType
	}
	if t, ok := value.(types.Timestamp); ok && !hasRFC3339(t.Time) {
		return x, reasonTime
	}
	text, err := types.Format(value)
	if err != nil {
		return x, reasonType
	}
	switch value.(type) {
	case bool, int32:
		return writerExtension{name: name, text: text, plain: true}, ""
	}
	return writerExtension{name: name, text: text}, checkText(text)
}
