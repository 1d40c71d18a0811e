package envelope

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
)

// defaultVersion is written for an event without [AggregateVersion]: readers of envelopes expect a version.
const defaultVersion = "1"

// Encode returns the envelope of e. Its aggregateId is the event's subject or, without one, its partitionkey. Data must be
// JSON and is written as it is; an event without data has no member data.
//
// An event that has no place in an envelope, or is invalid, is an [*EncodeError].
func Encode(e event.Event) ([]byte, error) {
	if refused, ok := errors.AsType[*kafkabinding.EncodeError](kafkabinding.Validate(e)); ok {
		return nil, &EncodeError{Attribute: refused.Attribute, Reason: refused.Reason}
	}
	ec := e.Context.(*event.EventContextV1) // Validate accepts no other
	aggregateID, ok := aggregateOf(ec)
	if !ok {
		return nil, &EncodeError{Attribute: "subject", Reason: "is missing, and so is partitionkey: aggregateId needs one"}
	}
	version, ok := versionOf(ec)
	if !ok {
		return nil, &EncodeError{Attribute: AggregateVersion, Reason: "is not a whole number of 32 bits"}
	}
	if e.DataEncoded != nil && !jsontext.Value(e.DataEncoded).IsValid() {
		return nil, &EncodeError{Attribute: "data", Reason: "is not JSON, or has a name that stands twice"}
	}
	text := appendMember(make([]byte, 0, 256+len(e.DataEncoded)), '{', "eventId", ec.ID)
	text = appendMember(text, ',', "eventType", eventTypeOf(ec.Type))
	text = appendMember(text, ',', "aggregateId", aggregateID)
	text = append(appendName(text, ',', "version"), version...)
	if ec.Time != nil && !ec.Time.IsZero() {
		text = appendMember(text, ',', "timestamp", ec.Time.UTC().Format(time.RFC3339Nano))
	}
	if e.DataEncoded != nil {
		text = append(appendName(text, ',', "data"), e.DataEncoded...)
	}
	text = append(appendMetadata(text, ec), '}')
	if err := checkLimits(text); err != nil {
		return nil, err
	}
	return text, nil
}

// checkLimits returns an error for an envelope that Decode would refuse for its size or depth.
func checkLimits(text []byte) error {
	switch {
	case len(text) > MaxSize:
		return &EncodeError{Attribute: "data", Reason: fmt.Sprintf("makes an envelope of more than %d bytes", MaxSize)}
	case !jsontext.Value(text).IsValid():
		return &EncodeError{Attribute: "data", Reason: "is nested too deep"}
	}
	return nil
}

func aggregateOf(ec *event.EventContextV1) (string, bool) {
	if ec.Subject != nil {
		return *ec.Subject, true
	}
	key, ok := textOf(ec, partitionKey)
	return key, ok && strings.TrimSpace(key) != ""
}

// textOf returns the canonical text of an extension.
func textOf(ec *event.EventContextV1, name string) (string, bool) {
	value := ec.Extensions[name]
	if value == nil {
		return "", false
	}
	text, err := types.Format(value)
	return text, err == nil
}

func versionOf(ec *event.EventContextV1) (string, bool) {
	text, ok := textOf(ec, AggregateVersion)
	if !ok {
		return defaultVersion, true
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return strconv.FormatInt(n, 10), err == nil
}

func eventTypeOf(name string) string {
	if t, ok := schemas.Lookup(name); ok {
		return t.Envelope
	}
	return name
}

func appendMetadata(text []byte, ec *event.EventContextV1) []byte {
	text = appendName(text, ',', "metadata")
	text = appendMember(text, '{', "source", nameOf(&ec.Source.URL))
	if id, ok := textOf(ec, correlationID); ok {
		text = appendMember(text, ',', "correlationId", id)
	}
	if id, ok := textOf(ec, causationID); ok {
		text = appendMember(text, ',', "causationId", id)
	}
	return append(text, '}')
}

// nameOf returns the source of an envelope for the event's source: the name behind the slash where sourceOf leads back
// from it to the same source.
func nameOf(source *url.URL) string {
	name, isPath := strings.CutPrefix(source.Path, "/")
	if isPath && strings.TrimSpace(name) != "" && utf8.ValidString(name) {
		if back, err := sourceOf(name); err == nil && back.String() == source.String() {
			return name
		}
	}
	return source.String()
}

func appendName(text []byte, before byte, name string) []byte {
	text = append(append(text, before, '"'), name...)
	return append(text, '"', ':')
}

func appendMember(text []byte, before byte, name, value string) []byte {
	text, _ = jsontext.AppendQuote(appendName(text, before, name), value) // fails for what is not UTF-8 only
	return text
}
