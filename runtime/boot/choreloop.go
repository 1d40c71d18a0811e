//go:build !lambda.norpc

package boot

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/pipeline"
)

// choreBackoff is how long a chore that failed rests.
var choreBackoff = pipeline.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}

// lastRun is how long the last runs may take at least, whatever the handlers have left of DRAIN_TIMEOUT.
const lastRun = 2 * time.Second

// choreLoops are chores that run again and again.
type choreLoops struct {
	runner *choreRunner

	// leaving is closed when the last runs are due. cancel ends the context of all runs.
	leaving chan struct{}
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// startChores starts a loop for each chore.
func startChores(r *choreRunner, chores []*chore) *choreLoops {
	l := &choreLoops{runner: r, leaving: make(chan struct{})}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	for _, c := range chores {
		l.running.Go(func() { l.loop(ctx, c) })
	}
	return l
}

// finish has each chore run once more, until the given time or for lastRun, and returns when all have ended.
func (l *choreLoops) finish(until time.Time) {
	close(l.leaving)
	late := time.AfterFunc(max(time.Until(until), lastRun), l.cancel)
	defer late.Stop()
	l.running.Wait()
	l.cancel()
}

// loop runs a chore until it is time to leave, and then once more.
func (l *choreLoops) loop(ctx context.Context, c *chore) {
	for {
		err := l.runner.once(ctx, c)
		if err != nil {
			l.rest(choreBackoff.Delay(c.failures), nil)
		} else {
			c.Wake = l.rest(c.Every, c.Wake)
		}
		select {
		case <-l.leaving:
			_ = l.runner.once(ctx, c) // it told of its error
			return
		default:
		}
	}
}

// rest returns after a pause, when wake has a value, or when it is time to leave. It returns what wakes from then on: nil where the
// channel was closed.
func (l *choreLoops) rest(pause time.Duration, wake <-chan struct{}) <-chan struct{} {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case _, open := <-wake:
		if !open {
			return nil
		}
	case <-timer.C:
	case <-l.leaving:
	}
	return wake
}
