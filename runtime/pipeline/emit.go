package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/function"
)

// emitter publishes what a function returned. It is the inner end of the middleware, so that no middleware sees success
// before the events are acknowledged.
type emitter struct {
	spec   function.Spec
	topics map[string]string
	sink   Sink
	now    func() time.Time
}

// around returns the function's handler followed by the publishing of its events.
func (m emitter) around(h function.Handler) Handler {
	return func(ctx context.Context, d *Delivery) error {
		events, err := h.Handle(ctx, d.Event)
		if err != nil || len(events) == 0 {
			return err
		}
		function.Stamp(&m.spec, d.Event, events, m.now())
		outputs, err := m.outputs(events)
		if err != nil {
			return err
		}
		if err := m.sink.Send(ctx, outputs...); err != nil {
			return fmt.Errorf("publish what %s returned: %w", m.spec.Name, err)
		}
		d.Emitted = events
		return nil
	}
}

// outputs addresses events to their topics. An event of a type that the Spec does not name, or whose data breaks its
// schema, is a mistake of the function that no retry mends.
func (m emitter) outputs(events []event.Event) ([]Output, error) {
	outputs := make([]Output, len(events))
	for i, e := range events {
		topic, ok := m.topics[e.Type()]
		if !ok {
			return nil, output(fmt.Errorf("%s returned an event of type %q, which its Spec.Emits does not name", m.spec.Name, e.Type()))
		}
		if err := e.Validate(); err != nil {
			return nil, output(fmt.Errorf("event %d that %s returned: %w", i, m.spec.Name, err))
		}
		if err := schemas.Validate(e.Type(), e.Data()); err != nil {
			return nil, output(fmt.Errorf("event %d that %s returned: %w", i, m.spec.Name, err))
		}
		outputs[i] = Output{Topic: topic, Event: e}
	}
	return outputs, nil
}

func output(err error) error {
	return &function.PermanentError{Class: function.ClassOutput, Err: err}
}
