package pipeline

import (
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
)

// Outcome is what became of one attempt.
type Outcome struct {
	// Function is empty where no function accepts the record's type, or where the record could not be decoded.
	Function string
	Group    string
	Record   *Record
	// Event is the zero Event when the record could not be decoded. It is valid until Observe returns.
	Event event.Event
	// Emitted are the events that were published.
	Emitted []event.Event
	Verdict function.Verdict
	// Attempt counts from 1; 0 where no handler was called: the record is poison, no function takes it, or a circuit is open.
	Attempt int
	Err     error
	// After is when the next attempt is due, for Retry and Broken.
	After time.Duration
	// Took is the time from the start of the attempt to its outcome, the publishing of events included; 0 where a circuit is
	// open.
	Took time.Duration

	// trace is the attempt's own, if it has one.
	trace function.Trace
}

// Trace returns the trace that the attempt belongs to, as Delivery.Trace does.
func (o *Outcome) Trace() function.Trace { return traceOf(o.trace, o.Event, o.Record) }

// Observer is told of each outcome. Observe is called from many goroutines and must not block; what it is given is valid
// until it returns.
type Observer interface {
	Observe(o *Outcome)
}
