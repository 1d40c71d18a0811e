package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Produce calls a function's handler for d.Event. What it returns is complete: it has its ids and may be published. The
// error is [ErrSpent] where the record has had all of its calls.
type Produce func(ctx context.Context, d *Delivery) ([]event.Event, error)

// Once remembers which events a function has handled, so that one that is delivered again is not handled again, and how
// often it was tried. Its methods are called from many goroutines.
type Once interface {
	// Do returns what produce returns for d, or what it returned when d.Event was handled before. It tells d what it
	// remembers of earlier attempts (Delivery.Recall) before it calls produce. published, which may be nil, is called when
	// all of it is acknowledged; its error makes the attempt fail.
	Do(ctx context.Context, d *Delivery, produce Produce) (events []event.Event, published func(context.Context) error, err error)
	// Buried notes that the dead letter of e is written: should e come again, it is to be tried as if for the first time.
	Buried(ctx context.Context, e event.Event) error
}

// ErrSpent is the error of an attempt that was none: the record has had as many calls of the handler as its limit allows.
var ErrSpent = errors.New("no call of the handler is left")

// Past is what is remembered of earlier attempts at an event, in whichever process.
type Past struct {
	// Failed is how many attempts are known to have failed, FirstFailure when the first of them did.
	Failed       int
	FirstFailure time.Time
	// Crashed is how many attempts began and never came to an end: their processes did.
	Crashed int
}

// Recall brings d, whose attempt is about to begin, up to what is remembered of its event. What the door knows and what is
// remembered tell of the same attempts: the larger number holds.
func (d *Delivery) Recall(p Past) {
	failed := max(d.Attempts-1, p.Failed)
	all := max(d.Attempts-1+d.Suspected, p.Failed+p.Crashed)
	d.Attempts, d.Suspected, d.Crashed = failed+1, all-failed, p.Crashed
	if d.FirstFailure.IsZero() {
		d.FirstFailure = p.FirstFailure
	}
}

// GivenUp tells whether the attempt that runs does not count because its process has to leave, or its invocation to end.
func (d *Delivery) GivenUp() bool { return d.ctx != nil && d.ctx.Err() != nil }

// spent tells whether the handler must not be called again. Where nothing is known to have failed, suspicion alone does not
// count: where processes crash, records that had no part in it do not end as dead letters. Calls that are known to have
// ended with their process do count, but one more than the limit is made.
func (d *Delivery) spent() bool {
	failed := d.Attempts - 1
	switch {
	case d.Limit == 0:
		return false
	case failed == 0:
		return d.Crashed > d.Limit
	}
	return failed+d.Suspected >= d.Limit
}
