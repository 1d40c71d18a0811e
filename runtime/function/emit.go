package function

import (
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
)

// The extension attributes that the runtime reads and sets.
const (
	// CorrelationID names the flow that an event belongs to (CloudEvents correlation extension).
	CorrelationID = "correlationid"
	// CausationID is the id of the event that caused this one (CloudEvents correlation extension).
	CausationID = "causationid"
	// PartitionKey becomes the record's key (CloudEvents partitioning extension).
	PartitionKey = "partitionkey"
)

// The error classes that the runtime itself puts into a dead letter, beside "permanent" of [Permanent].
const (
	// ClassSchema: the data does not fit its JSON Schema.
	ClassSchema = "schema"
	// ClassUndecodable: the record is not a CloudEvent.
	ClassUndecodable = "undecodable"
	// ClassTooLarge: the record came in a batch that takes more memory than is allowed.
	ClassTooLarge = "batch-too-large"
	// ClassExhausted: each attempt failed.
	ClassExhausted = "exhausted"
	// ClassOutput: an event that the handler returned cannot be published.
	ClassOutput = "output"
)

// Payload is the data of an event whose type is known. The types below cloudevents/ are payloads.
type Payload interface {
	// EventType returns the CloudEvents type: a constant, never derived from a Go name.
	EventType() string
	// AggregateID names what the event is about. It becomes the event's subject.
	AggregateID() string
}

// keyed is a Payload whose records are to be ordered by something else than the aggregate.
type keyed interface{ PartitionKey() string }

// Emit returns an event for each payload, ready to be returned by a handler. Type, subject, key and data are set here;
// id, source, time, correlation and causation by the runtime ([Stamp]).
func Emit(parent event.Event, payloads ...Payload) ([]event.Event, error) {
	events := make([]event.Event, 0, len(payloads))
	for _, p := range payloads {
		e, err := NewEvent(p)
		if err != nil {
			return nil, fmt.Errorf("answer to event %s: %w", parent.ID(), err)
		}
		events = append(events, e)
	}
	return events, nil
}

// NewEvent returns an event with type, subject, partition key and data from p. Its id, source and time are left empty.
func NewEvent(p Payload) (event.Event, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return event.Event{}, Permanent(fmt.Errorf("data of %s: %w", p.EventType(), err))
	}
	e := event.New(event.CloudEventsVersionV1)
	e.SetType(p.EventType())
	e.SetSubject(p.AggregateID())
	key := p.AggregateID()
	if k, ok := p.(keyed); ok {
		key = k.PartitionKey()
	}
	if key != "" {
		e.SetExtension(PartitionKey, key)
	}
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = data
	return e, nil
}
