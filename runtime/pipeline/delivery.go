package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
)

// Delivery is a record on its way through a function, with what its attempts have left behind. One goroutine at a time
// works on it.
type Delivery struct {
	Record

	// Event is the record's event during an attempt.
	Event event.Event
	// Emitted are the events that the attempt published.
	Emitted []event.Event
	// Started is when the attempt began.
	Started time.Time
	// Attempts counts the calls of the handler, the one that runs included. An attempt that found a dependency
	// unavailable is not counted.
	Attempts int
	// Suspected is how many calls more there may have been: each is one that an owner of the partition could not tell of,
	// because it ended without a goodbye.
	Suspected int
	// Crashed is how many of the calls before began and never came to an end, because their processes did. Who remembers
	// events knows (Recall).
	Crashed int
	// Limit is how many calls of the handler the record may have, 0 for as many as it takes. middleware.Retry sets it.
	Limit int
	// FirstFailure and LastFailure are the times of failed attempts, zero before the first.
	FirstFailure, LastFailure time.Time

	// Owned, where it is not nil, is asked right before the handler is called, when everything that can take its time is
	// done: decoding, a look at what is remembered. Where it is false the handler is not called, and the record waits.
	Owned func() bool
	// Publishing, where it is not nil, is called when the attempt begins to wait for its events to be acknowledged, and what
	// it returns when it has waited: a worker that waits so can do without its place.
	Publishing func() (done func())

	// ctx is that of Handle: an attempt that runs when it ends is given up.
	ctx context.Context
	// waits counts how often in a row the record had to wait for a dependency.
	waits int
	// letter is the failure whose dead letter could not be written yet.
	letter   *Failure
	detached bool
	blocked  bool
	// outcome is reused by each attempt, for it escapes to the observers.
	outcome Outcome
}

// Park copies the delivery's bytes out of the fetch buffer, once, before it waits.
func (d *Delivery) Park() {
	if !d.detached {
		d.Detach()
		d.detached = true
	}
}

// Blocked tells whether the last attempt found a circuit open.
func (d *Delivery) Blocked() bool { return d.blocked }

// Trace returns the trace that the running attempt belongs to, which the events that it emits carry: what SetTrace said, or
// else what the event carries, or else what the record's header traceparent says, which instrumented producers set.
func (d *Delivery) Trace() function.Trace { return traceOf(d.outcome.trace, d.Event, &d.Record) }

// SetTrace tells that the running attempt is a span of its own. Middleware calls it.
func (d *Delivery) SetTrace(t function.Trace) { d.outcome.trace = t }

// traceOf returns own where it is a trace, or else that of the event or the record.
func traceOf(own function.Trace, e event.Event, r *Record) function.Trace {
	if own.IsZero() {
		own = function.TraceOf(e)
	}
	if own.IsZero() {
		own = r.trace()
	}
	return own
}

// Handler runs one attempt: the function's handler, and the publishing of what it returned.
type Handler func(ctx context.Context, d *Delivery) error

// Middleware wraps a Handler.
type Middleware func(next Handler) Handler

// Sink publishes events. Send returns nil only when each of them is acknowledged by all in-sync replicas.
type Sink interface {
	Send(ctx context.Context, outputs ...Output) error
}

// DeadLetters keeps what cannot be handled. Write returns nil only when the dead letter is acknowledged.
type DeadLetters interface {
	Write(ctx context.Context, f Failure) error
}

// Function is a function that is ready to run.
type Function struct {
	Spec    function.Spec
	Handler function.Handler
}

// Make completes spec and makes its handler.
func Make(spec function.Spec, lookup function.Lookup) (Function, error) {
	spec, err := spec.Complete()
	if err != nil {
		return Function{}, err
	}
	h, err := spec.New(lookup)
	if err != nil {
		return Function{}, fmt.Errorf("function %s: %w", spec.Name, err)
	}
	return Function{Spec: spec, Handler: h}, nil
}
