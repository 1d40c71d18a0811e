package msktrigger

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/pipeline"
)

// The defaults of [Options].
const (
	DefaultWorkers  = 256
	DefaultMargin   = time.Second
	DefaultPatience = 5 * time.Second
)

// marginPart is the part of its time that an invocation keeps as its margin at most.
const marginPart = 5

// Options of a Trigger. The zero value is the default.
type Options struct {
	// Workers is how many handlers run at once. Up to four times as many more may wait for the acknowledgement of what they
	// emitted. Default: 256.
	Workers int
	// Margin is how long before its deadline an invocation ends its work: no handler starts any more, and the context of those
	// that run ends. They have half of the margin to return, then the answer is given. It is never more than a fifth of the
	// time that the invocation has. Default: 1 s.
	Margin time.Duration
	// Patience is how long a record waits, within one invocation and in all, for something that is down: a dependency, a
	// circuit that is open, the dead letter topic. A record that would have to wait for longer is handed back at once.
	// Default: 5 s.
	Patience time.Duration
	// Log takes a line for each partition of which an invocation hands records back, and a warning where a handler was left
	// behind. Default: slog.Default().
	Log *slog.Logger
}

func (o *Options) complete() Options {
	c := Options{Workers: DefaultWorkers, Margin: DefaultMargin, Patience: DefaultPatience, Log: slog.Default()}
	if o == nil {
		return c
	}
	if o.Workers > 0 {
		c.Workers = o.Workers
	}
	if o.Margin > 0 {
		c.Margin = o.Margin
	}
	if o.Patience > 0 {
		c.Patience = o.Patience
	}
	if o.Log != nil {
		c.Log = o.Log
	}
	return c
}

// Trigger runs the batches of an event source mapping through the functions of its consumer group. It has the shape of
// aws-lambda-go's lambda.Handler, and is safe for concurrent use.
type Trigger struct {
	pipeline *pipeline.Pipeline
	options  Options
	// workshops are those that invocations have left clean.
	workshops sync.Pool
}

// New returns the trigger of a consumer group's pipeline, which must not be transactional: there is nothing to commit.
func New(p *pipeline.Pipeline, o *Options) *Trigger {
	return &Trigger{pipeline: p, options: o.complete()}
}

// Invoke handles the records of an event and answers which of them are not finished: see the package's documentation. It
// returns a little before the deadline of ctx at the latest, and as soon as there is nothing left that it could do. Without a
// deadline it returns when every record is finished or handed back, or when ctx ends.
//
// An error means that the whole batch has to come again: a [*DecodeError], a topic that no function reads, or an
// [*InternalError].
func (t *Trigger) Invoke(ctx context.Context, payload []byte) (answer []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			answer, err = nil, &InternalError{Value: v, Stack: debug.Stack()}
		}
	}()
	v := newInvocation(ctx, t, payload)
	defer v.cancel()
	v.wait()
	if v.clean() {
		defer t.workshops.Put(v.workshop)
		defer v.workshop.tidy()
	} else {
		v.close()
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return v.answer(), nil
}

// check refuses records that no function reads: to finish them would lose them.
func (t *Trigger) check(b *Batch) error {
	topics := t.pipeline.Topics()
	for i := range b.Partitions {
		if p := &b.Partitions[i]; len(p.Records) > 0 && !slices.Contains(topics, p.Topic) {
			return fmt.Errorf("records of %s: no function of group %s reads topic %s, but %s: correct the topic of the event source mapping",
				p.Name, t.pipeline.Group(), p.Topic, strings.Join(topics, ", "))
		}
	}
	return nil
}

// InternalError says that the runtime itself panicked. Handlers do not cause it: their panics are failed attempts.
type InternalError struct {
	// Record names the record that was being handled, empty where it was none.
	Record string
	Value  any
	Stack  []byte
}

func (e *InternalError) Error() string {
	if e.Record == "" {
		return fmt.Sprintf("Kafka trigger: panic: %v: please report it", e.Value)
	}
	return fmt.Sprintf("Kafka trigger: record %s: panic: %v: please report it", e.Record, e.Value)
}
