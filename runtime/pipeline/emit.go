package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/function"
)

// Produce calls a function's handler for an event. What it returns is complete: it has its ids and may be published.
type Produce func(ctx context.Context, e event.Event) ([]event.Event, error)

// Once remembers which events a function has handled, so that one that is delivered again is not handled again. Its
// methods are called from many goroutines.
type Once interface {
	// Do returns what produce returns for e, or what it returned when e was handled before. published, which may be nil,
	// is called when all of it is acknowledged; its error makes the attempt fail.
	Do(ctx context.Context, e event.Event, produce Produce) (events []event.Event, published func(context.Context) error, err error)
}

// emitter publishes what a function returned. It is the inner end of the middleware, so that no middleware sees success
// before the events are acknowledged.
type emitter struct {
	spec    function.Spec
	topics  map[string]string
	sink    Sink
	handler function.Handler
	// once is nil where nothing is remembered.
	once          Once
	transactional bool
	now           func() time.Time
}

// handle calls the handler and publishes its events.
func (m *emitter) handle(ctx context.Context, d *Delivery) error {
	if m.once == nil {
		events, err := m.handler.Handle(ctx, d.Event)
		if err != nil || len(events) == 0 {
			return err
		}
		function.Stamp(&m.spec, d.Event, events, m.now())
		d.Trace().Stamp(events)
		return m.publish(ctx, d, events)
	}
	events, published, err := m.once.Do(ctx, d.Event, func(ctx context.Context, e event.Event) ([]event.Event, error) {
		return m.produce(ctx, d, e)
	})
	if err != nil {
		return err
	}
	if err := m.publish(ctx, d, events); err != nil || published == nil || m.transactional {
		return err
	}
	return published(ctx)
}

// produce is [Produce] for what is remembered: only events that can be published are.
func (m *emitter) produce(ctx context.Context, d *Delivery, e event.Event) ([]event.Event, error) {
	events, err := m.handler.Handle(ctx, e)
	if err != nil {
		return nil, err
	}
	function.Stamp(&m.spec, e, events, m.now())
	d.Trace().Stamp(events)
	_, err = m.outputs(events)
	return events, err
}

func (m *emitter) publish(ctx context.Context, d *Delivery, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	outputs, err := m.outputs(events)
	if err != nil {
		return err
	}
	if err := m.send(ctx, d, outputs); err != nil {
		return fmt.Errorf("publish what %s returned: %w", m.spec.Name, err)
	}
	d.Emitted = events
	return nil
}

func (m *emitter) send(ctx context.Context, d *Delivery, outputs []Output) error {
	if d.Publishing != nil {
		done := d.Publishing()
		defer done()
	}
	return m.sink.Send(ctx, outputs...)
}

// outputs addresses events to their topics. An event of a type that the Spec does not name, or whose data breaks its
// schema, is a mistake of the function that no retry mends.
func (m *emitter) outputs(events []event.Event) ([]Output, error) {
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
