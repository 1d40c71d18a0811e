package envelope

import (
	"errors"
	"fmt"
)

// ErrNotEnvelope says that a value does not claim to be an envelope: it is not a JSON object, or has neither an eventId
// nor an eventType.
var ErrNotEnvelope = errors.New("not a JSON envelope: no eventId and no eventType")

// DecodeError says why a value that claims to be an envelope is none. It never holds any of the event's data.
type DecodeError struct {
	// Member is the member at fault: "aggregateId", "metadata.source". It is empty when the value as a whole is at fault.
	Member string
	// Reason says what is wrong, as the end of a sentence that starts with the member.
	Reason string
}

func (e *DecodeError) Error() string {
	if e.Member == "" {
		return "JSON envelope: value " + e.Reason
	}
	return fmt.Sprintf("JSON envelope: member %s %s", e.Member, e.Reason)
}

// EncodeError says why an event cannot be written as an envelope. It never holds any of the event's data.
type EncodeError struct {
	// Attribute is the attribute at fault, or "data".
	Attribute string
	// Reason says what is wrong, as the end of a sentence that starts with the attribute.
	Reason string
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("JSON envelope: attribute %q %s", e.Attribute, e.Reason)
}
