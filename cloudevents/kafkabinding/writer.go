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
}

type writerExtension struct {
	name  string
	text  string // canonical
	plain bool   // JSON writes text without quotes
}

// newWriter returns the writer of an event, or why there is none. Its extensions use the room in space first.
func newWriter(e event.Event, space []writerExtension) (w writer, err *EncodeError) {
	if w.context, err = contextOf(e); err != nil {
		return w, err
	}
	if err = checkTexts(w.context); err != nil {
		return w, err
	}
	if w.source, err = sourceOf(w.context); err != nil {
		return w, err
	}
	if w.dataSchema, err = dataSchemaOf(w.context); err != nil {
		return w, err
	}
	if w.contentType, w.json, err = contentTypeOf(w.context); err != nil {
		return w, err
	}
	if w.hasTime, err = hasTime(w.context); err != nil {
		return w, err
	}
	w.extensions, err = extensionsOf(w.context, space)
	return w, err
}

func refuse(a attribute, reason string) *EncodeError {
	return &EncodeError{Attribute: attributeNames[a], Reason: reason}
}

func contextOf(e event.Event) (*event.EventContextV1, *EncodeError) {
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

// textOf returns u.String(). It is plain, and makes no allocation, where u is a path that begins with a slash and needs no
// escape.
func textOf(u *url.URL) (text string, plain bool) {
	if u.Path == "" || u.Path[0] != '/' || !isPath(u) {
		return u.String(), false
	}
	for i := range len(u.Path) {
		c := u.Path[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '-' || c > '9') && c != '_' {
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
	if ec.DataContentType == nil {
		return "", true, nil
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

func extensionsOf(ec *event.EventContextV1, space []writerExtension) ([]writerExtension, *EncodeError) {
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
