package text

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// Event is an event that was written down, and the record that it becomes.
type Event struct {
	event.Event
	// Line is where its text begins, Item which event of the input it is; both from 1.
	Line, Item int
	// Message is the record. A CloudEvent is written in binary mode; an envelope is the bytes that were read. The key is
	// the event's partitionkey, else its subject, else null.
	Message kafkabinding.Message
}

// Fail says where err happened.
func (e *Event) Fail(err error) error { return &InputError{Line: e.Line, Item: e.Item, Err: err} }

// Events yields the events of an input in their order: CloudEvents in the JSON event format or JSON envelopes, alone,
// one after the other, line by line, or in an array. What is no event yields an [*InputError], and the next one follows
// if it can be found. The events alias the input.
func Events(input []byte) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for it, err := range split(input) {
			var e *Event
			if err == nil {
				e, err = it.event()
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (i item) event() (*Event, error) {
	e, err := i.decode()
	if err != nil {
		return nil, i.fail(err)
	}
	e.Line, e.Item = i.line, i.number
	return e, nil
}

// marks are the members by which the two formats are told apart.
type marks struct {
	SpecVersion jsontext.Value `json:"specversion"`
	EventID     jsontext.Value `json:"eventId"`
	EventType   jsontext.Value `json:"eventType"`
}

func (i item) decode() (*Event, error) {
	if len(i.value) > MaxEvent {
		return nil, fmt.Errorf("has %d bytes, an event may have %d", len(i.value), MaxEvent)
	}
	if i.value[0] != '{' {
		return nil, errors.New("is not a JSON object")
	}
	var m marks
	if err := json.Unmarshal(i.value, &m, lenient, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, errors.New("is not a JSON object that can be read")
	}
	switch {
	case m.SpecVersion != nil:
		return cloudEvent(i.value)
	case m.EventID != nil || m.EventType != nil:
		return enveloped(i.value)
	}
	return nil, errors.New("is neither a CloudEvent (it has no specversion) nor an envelope (no eventId, no eventType)")
}

var structured = []kafkabinding.Header{{Key: []byte("content-type"), Value: []byte(event.ApplicationCloudEventsJSON)}}

func cloudEvent(value []byte) (*Event, error) {
	e, err := kafkabinding.Decode(kafkabinding.Message{Value: value, Headers: structured})
	if err != nil {
		return nil, err
	}
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		return nil, err
	}
	m.Key = key(e)
	return &Event{Event: e, Message: m}, nil
}

func enveloped(value []byte) (*Event, error) {
	e, err := envelope.Decode(value)
	if err != nil {
		return nil, err
	}
	return &Event{Event: e, Message: kafkabinding.Message{Key: key(e), Value: value}}, nil
}

func key(e event.Event) []byte {
	if key, ok := kafkabinding.PartitionKey(e); ok {
		return key
	}
	if e.Subject() != "" {
		return []byte(e.Subject())
	}
	return nil
}
