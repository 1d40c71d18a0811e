package msktrigger

import (
	"fmt"
	"strings"
)

// DecodeError says why an event, or a record of it, cannot be read. It holds names and numbers of the event, no payload.
type DecodeError struct {
	// Partition is the name of the list of records, empty outside of one.
	Partition string
	// Index is the place of the record in its list, from 0; −1 outside of a record.
	Index int
	// Offset is the record's offset, −1 where it is not known.
	Offset int64
	// Member is the member of the record or of the event that is at fault, empty where it is none in particular.
	Member string
	// At is the number of bytes of the event before the fault.
	At int
	// Reason is what is wrong.
	Reason string
}

func (e *DecodeError) Error() string {
	var b strings.Builder
	b.WriteString("event of the Kafka trigger: ")
	if e.Partition != "" {
		fmt.Fprintf(&b, "records of %s: ", e.Partition)
	}
	if e.Index >= 0 {
		fmt.Fprintf(&b, "record %d of the list", e.Index)
		if e.Offset >= 0 {
			fmt.Fprintf(&b, ", offset %d", e.Offset)
		}
		b.WriteString(": ")
	}
	if e.Member != "" {
		b.WriteString(e.Member + " ")
	}
	fmt.Fprintf(&b, "%s (at byte %d)", e.Reason, e.At)
	return b.String()
}
