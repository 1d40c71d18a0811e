package conformance

import (
	"context"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/runtime/function"
)

// The types of the events that functions of the suite take and emit.
const (
	inType  = "test.conformance.in.v1"
	outType = "test.conformance.out.v1"
)

// Function is a function of the suite. It is data, so that a child can be told of it.
type Function struct {
	Name  string `json:"name"`
	Topic string `json:"topic"`
	// Output is where the function publishes one event for each that it handled; empty if it publishes nothing.
	Output string `json:"output"`
	// Group, Order, Attempts and Timeout are those of function.Spec.
	Group    string         `json:"group"`
	Order    function.Order `json:"order"`
	Attempts int            `json:"attempts"`
	Timeout  time.Duration  `json:"timeout"`
	// Checked makes it a function of order.Created, whose data has a schema.
	Checked bool `json:"checked"`
}

// Call is one call of a handler.
type Call struct {
	// Process is who called, counted from 1.
	Process  int
	Function string
	// ID is the event's, such as "a/000007" for the event 7 of key a.
	ID string
	// Nth counts the calls of this function for this event, in all processes, from 1.
	Nth int
}

// Key is the record's key, empty where it has none.
func (c Call) Key() string {
	key, _, _ := strings.Cut(c.ID, "/")
	return key
}

// answerer decides what a handler does.
type answerer func(ctx context.Context, c Call) error

// spec returns the Spec of f, whose handler does what answer says.
func (f Function) spec(process int, answer answerer) function.Spec {
	s := function.Spec{Name: f.Name, Topic: f.Topic, Group: f.Group, Order: f.Order, Attempts: f.Attempts, Timeout: f.Timeout}
	if f.Output != "" {
		s.Emits, s.Topics = []string{outType}, map[string]string{outType: f.Output}
	}
	handle := func(ctx context.Context, e event.Event) ([]event.Event, error) {
		if err := answer(ctx, Call{Process: process, Function: f.Name, ID: e.ID()}); err != nil {
			return nil, err
		}
		return f.outputs(e), nil
	}
	s.New = func(function.Lookup) (function.Handler, error) {
		if f.Checked {
			return function.On(order.CreatedType, func(ctx context.Context, e event.Event, _ order.Created) ([]event.Event, error) {
				return handle(ctx, e)
			}), nil
		}
		return function.Raw(handle, inType), nil
	}
	return s
}

// outputs are the events that f returns for e: none, or one about the same subject.
func (f Function) outputs(e event.Event) []event.Event {
	if f.Output == "" {
		return nil
	}
	out := event.New()
	out.SetType(outType)
	out.SetSubject(e.Subject())
	if e.Subject() != "" {
		out.SetExtension(function.PartitionKey, e.Subject())
	}
	return []event.Event{out}
}
