package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
)

// MaxSize is the longest envelope that Decode reads and Encode writes, in bytes.
const MaxSize = 16 << 20

// The extensions that envelopes have members for.
const (
	// AggregateVersion is the extension that holds an envelope's version, an integer.
	AggregateVersion = "aggregateversion"

	partitionKey  = "partitionkey"
	correlationID = "correlationid"
	causationID   = "causationid"
)

// unknownSource is the source of an event whose envelope has none.
const unknownSource = "/unknown"

// envelope is the JSON. A nil pointer is a member that is absent or null.
type envelope struct {
	EventID     *string        `json:"eventId"`
	EventType   *string        `json:"eventType"`
	AggregateID *string        `json:"aggregateId"`
	Version     *int32         `json:"version"`
	Timestamp   *string        `json:"timestamp"`
	Data        jsontext.Value `json:"data"`
	Metadata    struct {
		Source        *string `json:"source"`
		CorrelationID *string `json:"correlationId"`
		CausationID   *string `json:"causationId"`
	} `json:"metadata"`
}

// Decode returns the event that an envelope holds. The event can be written by [kafkabinding.Encode]. Its data is a copy
// of the bytes that stand in the envelope.
//
// Errors are [ErrNotEnvelope], for a value that does not claim to be an envelope, and [*DecodeError], for one that does
// and is none.
func Decode(value []byte) (event.Event, error) {
	if len(value) > MaxSize {
		return event.Event{}, &DecodeError{
			Reason: fmt.Sprintf("is %d bytes long, at most %d are read", len(value), MaxSize),
		}
	}
	var v envelope
	if err := json.Unmarshal(value, &v); err != nil {
		if !claims(value) {
			return event.Event{}, ErrNotEnvelope
		}
		return event.Event{}, faultOf(err)
	}
	if v.EventID == nil && v.EventType == nil && !claims(value) {
		return event.Event{}, ErrNotEnvelope
	}
	e, err := v.event()
	if err != nil {
		return event.Event{}, err
	}
	return e, nil
}

// claims tells whether value starts as a JSON object that has an eventId or an eventType.
func claims(value []byte) bool {
	d := jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowDuplicateNames(true))
	if d.PeekKind() != jsontext.KindBeginObject {
		return false
	}
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	for d.PeekKind() == jsontext.KindString {
		name, err := d.ReadToken()
		if err != nil {
			return false
		}
		if name := name.String(); name == "eventId" || name == "eventType" {
			return true
		}
		if err := d.SkipValue(); err != nil {
			return false
		}
	}
	return false
}

// faultOf turns an error of the JSON package into one that quotes nothing of the value.
func faultOf(err error) *DecodeError {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return &DecodeError{Member: memberAt(syntax.JSONPointer), Reason: "has a name that stands twice"}
		}
		return &DecodeError{Reason: fmt.Sprintf("is not valid JSON (at byte %d)", syntax.ByteOffset)}
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return &DecodeError{Member: memberAt(semantic.JSONPointer), Reason: "is of a wrong type or out of range"}
	}
	return &DecodeError{Reason: "cannot be read"}
}

// memberAt returns the member of the envelope that a JSON pointer leads to or into, cut off at 64 bytes.
func memberAt(p jsontext.Pointer) string {
	path := slices.Collect(p.Tokens())
	member := ""
	switch {
	case len(path) > 1 && path[0] == "metadata":
		member = "metadata." + path[1]
	case len(path) > 0:
		member = path[0]
	}
	return member[:min(len(member), 64)]
}

func (v *envelope) event() (event.Event, *DecodeError) {
	for _, required := range []struct {
		name  string
		value *string
	}{{"eventId", v.EventID}, {"eventType", v.EventType}, {"aggregateId", v.AggregateID}} {
		if required.value == nil {
			return event.Event{}, &DecodeError{Member: required.name, Reason: "is missing or null"}
		}
	}
	ec := &event.EventContextV1{
		ID:         *v.EventID,
		Type:       typeOf(*v.EventType),
		Subject:    v.AggregateID,
		Extensions: v.extensions(),
	}
	if v.Data != nil {
		ec.DataContentType = event.StringOfApplicationJSON()
	}
	if fault := v.setSource(ec); fault != nil {
		return event.Event{}, fault
	}
	if fault := v.setTime(ec); fault != nil {
		return event.Event{}, fault
	}
	e := event.Event{Context: ec, DataEncoded: v.Data}
	if refused, ok := errors.AsType[*kafkabinding.EncodeError](kafkabinding.Validate(e)); ok {
		return event.Event{}, &DecodeError{Member: memberOf(refused.Attribute), Reason: refused.Reason}
	}
	return e, nil
}

func typeOf(eventType string) string {
	if t, ok := schemas.ByEnvelope(eventType); ok {
		return t.Name
	}
	return eventType
}

func (v *envelope) extensions() map[string]any {
	extensions := map[string]any{partitionKey: *v.AggregateID}
	if v.Version != nil {
		extensions[AggregateVersion] = *v.Version
	}
	if v.Metadata.CorrelationID != nil {
		extensions[correlationID] = *v.Metadata.CorrelationID
	}
	if v.Metadata.CausationID != nil {
		extensions[causationID] = *v.Metadata.CausationID
	}
	return extensions
}

func (v *envelope) setSource(ec *event.EventContextV1) *DecodeError {
	name := unknownSource
	if v.Metadata.Source != nil {
		name = *v.Metadata.Source
	}
	if strings.TrimSpace(name) == "" {
		return &DecodeError{Member: "metadata.source", Reason: "is empty"}
	}
	u, err := sourceOf(name)
	if err != nil {
		return &DecodeError{Member: "metadata.source", Reason: "is not a URI reference"}
	}
	ec.Source = types.URIRef{URL: *u}
	return nil
}

// sourceOf returns the event's source for the source of an envelope.
func sourceOf(name string) (*url.URL, error) {
	if strings.HasPrefix(name, "/") {
		return url.Parse(name)
	}
	if u, err := url.Parse(name); err == nil && u.IsAbs() {
		return u, nil
	}
	return &url.URL{Path: "/" + name}, nil
}

func (v *envelope) setTime(ec *event.EventContextV1) *DecodeError {
	if v.Timestamp == nil {
		return nil
	}
	t, err := time.Parse(time.RFC3339, *v.Timestamp)
	if err != nil {
		return &DecodeError{Member: "timestamp", Reason: "is not an RFC 3339 time"}
	}
	if !t.IsZero() { // which the SDK takes for unset
		ec.Time = &types.Timestamp{Time: t}
	}
	return nil
}

// memberOf returns the member that an attribute comes from.
func memberOf(attribute string) string {
	switch attribute {
	case "id":
		return "eventId"
	case "type":
		return "eventType"
	case "subject", partitionKey:
		return "aggregateId"
	case AggregateVersion:
		return "version"
	case "time":
		return "timestamp"
	case "source":
		return "metadata.source"
	case correlationID:
		return "metadata.correlationId"
	case causationID:
		return "metadata.causationId"
	}
	return attribute
}
