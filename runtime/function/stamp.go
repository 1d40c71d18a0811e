package function

import (
	"crypto/sha1" //nolint:gosec // UUIDs of version 5 are made with it, and nothing is kept secret.
	"net/url"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/google/uuid"
)

// idSpace is the name space of emitted ids (UUID version 5, RFC 9562 §5.5).
var idSpace = uuid.MustParse("6a1f0f5e-7c0b-5d6e-9a54-2f1c7f9d8b11")

// EmittedID returns the id of the index-th event (from 0) that a function returned for the event parentID of
// parentSource. The same arguments give the same id, so that a redelivery emits the same identities (law 8).
func EmittedID(functionName, parentSource, parentID string, index int) string {
	var room [256]byte // a longer name moves to the heap
	name := append(room[:0], idSpace[:]...)
	name = appendPart(name, functionName)
	name = appendPart(name, parentSource)
	name = appendPart(name, parentID)
	sum := sha1.Sum(strconv.AppendInt(name, int64(index), 10)) //nolint:gosec // As above.
	id := uuid.UUID(sum[:len(uuid.UUID{})])
	id[6] = id[6]&0x0f | 0x50 // version 5
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id.String()
}

// appendPart appends part behind its length, so that no two rows of parts give the same name.
func appendPart(name []byte, part string) []byte {
	name = strconv.AppendInt(name, int64(len(part)), 10)
	return append(append(name, ':'), part...)
}

// Stamp completes the events that the function s returned for parent, in place: an empty id becomes [EmittedID], an
// empty source the function's, an empty time now. correlationid is the parent's (its id where it has none), causationid
// the parent's id; both are overwritten. The runtime calls it before it publishes; tests of handlers may.
func Stamp(s *Spec, parent event.Event, events []event.Event, now time.Time) {
	parentID, parentSource, source := parent.ID(), sourceOf(&parent), s.source()
	var causation any = parentID // once for all events: each time it became an extension it would be copied
	correlation := extensionOf(&parent, CorrelationID)
	if text, ok := correlation.(string); !ok || text == "" {
		correlation = causation
	}
	for i := range events {
		e := &events[i]
		if e.ID() == "" {
			e.SetID(EmittedID(s.Name, parentSource, parentID, i))
		}
		if sourceOf(e) == "" {
			setSource(e, source)
		}
		if e.Time().IsZero() {
			e.SetTime(now.UTC())
		}
		setExtension(e, CorrelationID, correlation)
		setExtension(e, CausationID, causation)
	}
}

// What follows does what the SDK's methods do, which parse, check and copy each time, and leaves to them what is not usual.

// contextOf returns the attributes of e where they may be set without the SDK, or else nil: they are of another version of
// the specification, or e remembers errors that the SDK takes back.
func contextOf(e *event.Event) *event.EventContextV1 {
	ec, ok := e.Context.(*event.EventContextV1)
	if !ok || len(e.FieldErrors) > 0 {
		return nil
	}
	return ec
}

// sourceOf returns e.Source().
func sourceOf(e *event.Event) string {
	ec := contextOf(e)
	if ec == nil || ec.Source.URL != (url.URL{Path: ec.Source.Path}) || ec.Source.Path != "" && !isPath(ec.Source.Path) {
		return e.Source()
	}
	return ec.Source.Path
}

// setSource does what e.SetSource does.
func setSource(e *event.Event, source string) {
	ec := contextOf(e)
	if ec == nil || !isPath(source) {
		e.SetSource(source)
		return
	}
	ec.Source = types.URIRef{URL: url.URL{Path: source}}
}

// isPath tells whether text is a path that begins with a slash, as URL and as text alike.
func isPath(text string) bool {
	if text == "" || text[0] != '/' || len(text) > 1 && text[1] == '/' {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '-' && c <= '9', c == '_': // '-', '.', '/' and digits
		default:
			return false
		}
	}
	return true
}

// extensionOf returns e.Extensions()[name].
func extensionOf(e *event.Event, name string) any {
	if ec := contextOf(e); ec != nil {
		return ec.Extensions[name]
	}
	return e.Extensions()[name]
}

// setExtension does what e.SetExtension does, for a name that is one of an extension and a value that is a string, or nil
// where e keeps other extensions.
func setExtension(e *event.Event, name string, value any) {
	ec := contextOf(e)
	switch {
	case ec == nil || ec.Extensions == nil:
		e.SetExtension(name, value)
	case value == nil:
		delete(ec.Extensions, name)
	default:
		ec.Extensions[name] = value
	}
}
