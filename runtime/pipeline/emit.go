package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/function"
)

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
}

// handle calls the handler and publishes its events.
func (m *emitter) handle(ctx context.Context, d *Delivery) error {
	if m.once == nil {
		events, err := m.call(ctx, d)
		if err != nil {
			return err
		}
		return m.publish(ctx, d, events)
	}
	events, published, err := m.once.Do(ctx, d, m.produce)
	if err != nil {
		return err
	}
	if err := m.publish(ctx, d, events); err != nil || published == nil || m.transactional {
		return err
	}
	return published(ctx)
}

// produce is [Produce] for what is remembered: only events that can be published are.
func (m *emitter) produce(ctx context.Context, d *Delivery) ([]event.Event, error) {
	events, err := m.call(ctx, d)
	if err != nil {
		return nil, err
	}
	_, err = m.outputs(events)
	return events, err
}

// errNotOwned says that the record may be somebody else's by now.
var errNotOwned = errors.New("this process was stopped for so long that the record may be handled elsewhere")

// call calls the handler, unless the record has had all of its calls.
func (m *emitter) call(ctx context.Context, d *Delivery) ([]event.Event, error) {
	if d.spent() {
		return nil, ErrSpent
	}
	if d.Owned != nil && !d.Owned() {
		return nil, &function.WaitError{Err: errNotOwned}
	}
	events, err := m.handler.Handle(ctx, d.Event)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	function.Stamp(&m.spec, d.Event, events, time.Now())
	d.Trace().Stamp(events)
	return events, nil
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

// send publishes, unless the handler has outlasted its attempt: the record of one that was given up is somebody else's.
func (m *emitter) send(ctx context.Context, d *Delivery, outputs []Output) error {
	if d.GivenUp() {
		return context.Cause(d.ctx)
	}
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
		eventType := e.Type()
		topic, ok := m.topics[eventType]
		if !ok {
			return nil, output(fmt.Errorf("%s returned an event of type %q, which its Spec.Emits does not name", m.spec.Name, eventType))
		}
		err := validate(e)
		if err == nil {
			err = schemas.Validate(eventType, e.Data())
		}
		if err != nil {
			return nil, output(fmt.Errorf("event %d that %s returned: %w", i, m.spec.Name, err))
		}
		outputs[i] = Output{Topic: topic, Event: e}
	}
	return outputs, nil
}

// validate tells why no sink would take e. The binding refuses all that the SDK does, and remembers what it has seen; the SDK
// names everything that is wrong.
func validate(e event.Event) error {
	refused := kafkabinding.Validate(e)
	if refused == nil {
		return nil
	}
	if err := e.Validate(); err != nil {
		return err
	}
	return refused
}

func output(err error) error {
	return &function.PermanentError{Class: function.ClassOutput, Err: err}
}
