package idempotency

import (
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
)

// maxOutcome bounds what is stored for one event, in bytes. A record of Kafka holds 1 MB by default.
const maxOutcome = 16 << 20

// outcomeVersion is the form of stored outcomes. Processes of different releases share a store.
const outcomeVersion = 1

// outcome is the form in which the events that a handler returned are stored.
type outcome struct {
	Version int           `json:"version"`
	Events  []storedEvent `json:"events"`
}

type storedEvent struct {
	// Event is in the CloudEvents JSON format, its data always as base64: other forms do not bring back each byte.
	Event jsontext.Value `json:"event"`
	// Base64 is the event's DataBase64.
	Base64 bool `json:"base64,omitzero"`
}

// encode returns the stored form of events, nil for none. An event that cannot be written is a mistake of the function
// that no retry mends.
func encode(events []event.Event) ([]byte, error) {
	if len(events) == 0 {
		return nil, nil
	}
	o := outcome{Version: outcomeVersion, Events: make([]storedEvent, len(events))}
	for i, e := range events {
		o.Events[i].Base64 = e.DataBase64
		e.DataBase64 = true
		message, err := kafkabinding.Encode(e, kafkabinding.Structured)
		if err != nil {
			return nil, unfit(fmt.Errorf("event %d that was returned: %w", i, err))
		}
		o.Events[i].Event = message.Value
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, unfit(err)
	}
	if len(text) > maxOutcome {
		return nil, unfit(fmt.Errorf("the events that were returned take %d bytes, at most %d can be remembered", len(text), maxOutcome))
	}
	return text, nil
}

func unfit(err error) error {
	return &function.PermanentError{Class: function.ClassOutput, Err: err}
}

// decode returns the events of a stored outcome.
func decode(text []byte) ([]event.Event, error) {
	if len(text) > maxOutcome {
		return nil, fmt.Errorf("stored outcome of %d bytes, more than the %d that are written", len(text), maxOutcome)
	}
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, fmt.Errorf("stored outcome: %w", err)
	}
	if o.Version != outcomeVersion {
		return nil, fmt.Errorf("stored outcome has version %d, this program reads %d", o.Version, outcomeVersion)
	}
	events := make([]event.Event, len(o.Events))
	for i, stored := range o.Events {
		e, err := kafkabinding.Decode(kafkabinding.Message{Value: stored.Event, Headers: structured})
		if err != nil {
			return nil, fmt.Errorf("stored outcome, event %d: %w", i, err)
		}
		e.DataBase64 = stored.Base64
		events[i] = e
	}
	return events, nil
}

// structured is the header that marks the CloudEvents JSON format.
var structured = []kafkabinding.Header{{Key: []byte("content-type"), Value: []byte(event.ApplicationCloudEventsJSON)}}
