package kafkabinding

import (
	"errors"
	"fmt"
)

// ErrNotCloudEvent says that a message does not claim to be a CloudEvent: its content type is not a CloudEvents format,
// and it has none of the headers ce_specversion, ce_id, ce_source and ce_type.
var ErrNotCloudEvent = errors.New("not a CloudEvent: no CloudEvents content-type and no ce_ headers")

// DecodeError says why a message that claims to be a CloudEvent is none. It never holds any of the event's data.
type DecodeError struct {
	// Header is the name of the message's header at fault. It is empty for a fault in the value of a structured message.
	Header string
	// Attribute is the CloudEvents attribute at fault, or "data" or "data_base64" of the JSON format. It is empty when
	// the content type or the value as a whole is at fault. Header and Attribute are cut off at 64 bytes.
	Attribute string
	// Reason says what is wrong, as the end of a sentence that starts with the header or attribute.
	Reason string
}

func (e *DecodeError) Error() string {
	switch {
	case e.Header != "":
		return fmt.Sprintf("CloudEvent: header %q %s", e.Header, e.Reason)
	case e.Attribute != "":
		return fmt.Sprintf("CloudEvent: attribute %q %s", e.Attribute, e.Reason)
	default:
		return "CloudEvent: value " + e.Reason
	}
}

// EncodeError says why an event cannot be written. It never holds any of the event's data.
type EncodeError struct {
	// Attribute is the attribute at fault, cut off at 64 bytes.
	Attribute string
	// Reason says what is wrong, as the end of a sentence that starts with the attribute.
	Reason string
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("CloudEvent: attribute %q %s", e.Attribute, e.Reason)
}

// The reasons that both directions share.
const (
	reasonMissing  = "is missing"
	reasonEmpty    = "is empty"
	reasonNull     = "is null, a string is required"
	reasonRepeated = "stands twice"
	reasonType     = "has a value of no CloudEvents type"
	reasonString   = "is not a string"
	reasonText     = "is not UTF-8 or holds a character that CloudEvents forbids"
	reasonName     = "is not named by lower-case letters and digits"
	reasonReserved = "has a name that is reserved"
	reasonURI      = "is not an absolute URI"
	reasonURIRef   = "is not a URI reference"
	reasonMedia    = "is not a media type"
	reasonTime     = "is not an RFC 3339 time"
)

// maxNameInError bounds what a name, which the sender chose, may take up in an error.
const maxNameInError = 64

func cut(name string) string {
	if len(name) > maxNameInError {
		return name[:maxNameInError]
	}
	return name
}
