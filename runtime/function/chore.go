package function

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Publish publishes events to a topic, in their order, and returns when the outcome of each is known: nil when all are
// acknowledged by all in-sync replicas, else a slice as long as events, with nil for each event that is. [VerdictOf] tells
// what an error means:
//
//	DeadLetter  this event can never be published: it is too large, or it cannot be encoded
//	Broken      the cluster cannot be reached, is short of replicas or did not answer in time; or ctx ended
//	Retry       the topic does not exist, or may not be written to
//
// An event whose error is Broken may have been published nevertheless: its acknowledgement was lost. Where one event
// fails, later ones of its key may have been published. Who needs their order publishes the next event of a key only
// when the one before is acknowledged, or all of them again from the first that failed.
//
// Events are published as they are: id, source, type and time must be set ([Stamp] helps), and the partitionkey attribute
// is the record's key. It may be called concurrently.
type Publish func(ctx context.Context, topic string, events ...event.Event) []error

// Chore is work of a program that no event asks for: relaying an outbox, following an event store, ending what takes too long.
//
// On a machine or in a container the runtime runs it in a loop, from when the program is connected until its handlers have
// ended, and then once more, so that what they left is published. On Lambda, where a process is frozen between invocations, it is run
// once after each batch, after each request that may have changed something, and when a schedule says so. Either way other
// processes may run the same chore of the same store at the same time: it must be safe with several, and safe to be cut off anywhere.
type Chore struct {
	// Name says what it does, lower-case words with hyphens, at most 64 characters: "outbox". It is a label of metrics.
	Name string
	// Every is the longest pause between the end of a run and the next. Default: [DefaultEvery].
	Every time.Duration
	// Wake asks for a run now: a value that is sent, never a close. Give it room for one value and send without
	// waiting, so that nobody is held up. May be nil.
	Wake <-chan struct{}
	// Run does what is due and returns; where much is due, it should return after some seconds and be called again, by its
	// Wake. It is never called twice at once for the same Chore. An error is logged and counted, turns readiness red
	// until a run succeeds, and Run is called again after a back-off. So is a panic. A program of services only stays ready where
	// the error is that of Kafka, which is away. The context ends when the process has to leave, shortly before the deadline of the
	// invocation, or 2 s after a request; a run that ends with it has not failed. It also ends after a minute; then it has.
	Run func(ctx context.Context, publish Publish) error
	// Measure tells how far Run is behind, for metrics, by names such as "waiting" and "oldest_seconds". It is asked after a
	// run, every 10 s at most. May be nil.
	Measure func(ctx context.Context) (map[string]float64, error)
	// Topics are what Run publishes to, where that is known: the runtime does not start unless the cluster has them. A program
	// of services only starts while no cluster answers, and logs what is missing when one does.
	Topics []string
}

// DefaultEvery is how long a chore rests between runs unless it says otherwise.
const DefaultEvery = time.Second

// Worker is what a [Handler], or the http.Handler of a [Service], may be besides: something that has work of its own. The runtime
// asks for its chores once, when it starts.
//
// A Handler or http.Handler that is an [io.Closer] is closed when nothing calls it any more. A function whose handler opened
// a database may thus return a struct that embeds its Handler and has the methods Chores and Close.
type Worker interface {
	Chores() []Chore
}

// Complete returns c with its defaults filled in, or an error that names every field that cannot be.
func (c Chore) Complete() (Chore, error) {
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("chore %q: "+format, append([]any{c.Name}, args...)...))
	}
	if !isName(c.Name) {
		problem("Name must be lower-case words joined by hyphens, at most 64 characters")
	}
	if c.Every < 0 {
		problem("Every is %s, must be positive", c.Every)
	}
	if c.Run == nil {
		problem("Run is nil")
	}
	return c, errors.Join(problems...)
}
