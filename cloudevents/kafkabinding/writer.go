package kafkabinding

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// writer is an event that is known to be fit for writing. Writers are pooled for their slice.
type writer struct {
	context     *event.EventContextV1
	source      string
	contentType string // "": none
	json        bool   // the content type, or its absence, declares JSON
	dataSchema  string // "": none
	time        time.Time
	extensions  []writerExtension // by name

	data   []byte
	base64 bool // data was binary in the JSON it came from
}

type writerExtension struct {
	name  string
	text  string // canonical
	plain bool   // JSON writes text without quotes
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// release gives w back without what it held.
func (w *writer) release() {
	clear(w.extensions)
	*w = writer{extensions: w.extensions[:0]}
	writers.Put(w)
}

func (w *writer) take(e event.Event) *EncodeError {
	if len(e.FieldErrors) > 0 {
		return &EncodeError{Attribute: cut(slices.Min(slices.Collect(maps.Keys(e.FieldErrors)))),
			Reason: "was given a value that it cannot have"}
	}
	ec, ok := e.Context.(*event.EventContextV1)
	switch {
	case e.Context == nil, ok && ec == nil:
		return refuse(specVersion, reasonMissing)
	case !ok:
		return refuse(specVersion, fmt.Sprintf("is %q, only %s is supported", cut(e.SpecVersion()), version))
	}
	w.context, w.data, w.base64 = ec, e.DataEncoded, e.DataBase64
	if err := w.takeText(); err != nil {
		return err
	}
	if err := w.takeContentType(); err != nil {
		return err
	}
	if err := w.takeURIs(); err != nil {
		return err
	}
	if err := w.takeTime(); err != nil {
		return err
	}
	return w.takeExtensions()
}

func refuse(a attribute, reason string) *EncodeError {
	return &EncodeError{Attribute: attributeNames[a], Reason: reason}
}

func (w *writer) takeText() *EncodeError {
	if reason := checkRequired(w.context.ID); reason != "" {
		return refuse(id, reason)
	}
	if reason := checkRequired(w.context.Type); reason != "" {
		return refuse(eventType, reason)
	}
	if w.context.Subject != nil {
		if reason := checkRequired(*w.context.Subject); reason != "" {
			return refuse(subject, reason)
		}
	}
	return nil
}

func (w *writer) takeContentType() *EncodeError {
	if w.context.DataContentType == nil {
		w.json = true
		return nil
	}
	media, reason := contentTypes.getString(*w.context.DataContentType)
	if reason != "" {
		return refuse(dataContentType, reason)
	}
	w.contentType, w.json = media.text, media.value.json
	return nil
}

func (w *writer) takeURIs() *EncodeError {
	w.source = textOf(&w.context.Source.URL)
	if _, reason := sources.getString(w.source); reason != "" {
		return refuse(source, reason)
	}
	if w.context.DataSchema == nil {
		return nil
	}
	w.dataSchema = textOf(&w.context.DataSchema.URL)
	if _, reason := dataSchemas.getString(w.dataSchema); reason != "" {
		return refuse(dataSchema, reason)
	}
	return nil
}

// textOf returns u.String(), without an allocation where u is a path and nothing in it needs an escape.
func textOf(u *url.URL) string {
	if u.Path == "" || *u != (url.URL{Path: u.Path}) || u.Path[0] != '/' || strings.HasPrefix(u.Path, "//") {
		return u.String()
	}
	for i := range len(u.Path) {
		c := u.Path[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '-' || c > '9') && c != '_' {
			return u.String()
		}
	}
	return u.Path
}

// takeTime leaves the zero time out, which the SDK takes for unset.
func (w *writer) takeTime() *EncodeError {
	if w.context.Time == nil || w.context.Time.IsZero() {
		return nil
	}
	w.time = w.context.Time.UTC()
	if year := w.time.Year(); year < 0 || year > 9999 {
		return refuse(eventTime, reasonTime)
	}
	return nil
}

func (w *writer) takeExtensions() *EncodeError {
	for name, value := range w.context.Extensions {
		if value == nil { // unset, as for the SDK
			continue
		}
		if _, reason := names.getString(name); reason != "" {
			return &EncodeError{Attribute: cut(name), Reason: reason}
		}
		x, reason := extensionOf(name, value)
		if reason != "" {
			return &EncodeError{Attribute: cut(name), Reason: reason}
		}
		w.extensions = append(w.extensions, x)
	}
	slices.SortFunc(w.extensions, func(a, b writerExtension) int { return strings.Compare(a.name, b.name) })
	return nil
}

func extensionOf(name string, value any) (x writerExtension, reason string) {
	if text, ok := value.(string); ok {
		return writerExtension{name: name, text: text}, checkText(text)
	}
	value, err := types.Validate(value)
	if err != nil {
		return x, "has a value of no CloudEvents type"
	}
	if t, ok := value.(types.Timestamp); ok && (t.UTC().Year() < 0 || t.UTC().Year() > 9999) {
		return x, reasonTime
	}
	text, err := types.Format(value)
	if err != nil {
		return x, "has a value of no CloudEvents type"
	}
	switch value.(type) {
	case bool, int32:
		return writerExtension{name: name, text: text, plain: true}, ""
	}
	return writerExtension{name: name, text: text}, checkText(text)
}
