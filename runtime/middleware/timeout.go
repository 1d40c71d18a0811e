package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/runtime/pipeline"
)

// Timeout bounds one attempt, from Delivery.Started on. The handler's context ends after limit; an error that it returns from then on says so. A
// handler that pays no heed to its context is not stopped.
func Timeout(limit time.Duration) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) error {
			bounded := &lazyDeadline{Context: ctx, deadline: d.Started.Add(limit)}
			defer bounded.cancel()
			err := next(bounded, d)
			if errors.Is(err, context.DeadlineExceeded) && bounded.expired() {
				return fmt.Errorf("attempt took longer than its limit of %s: %w", limit, err)
			}
			return err
		}
	}
}

// lazyDeadline is a context with a deadline that sets up its timer when somebody first waits for it. Most handlers never
// do, and the timer is what makes context.WithDeadline dear.
type lazyDeadline struct {
	context.Context

	deadline time.Time
	// armed is what does the work from when somebody asked for it, or the attempt was over.
	armed atomic.Pointer[armed]
}

// armed is a context that ends at the deadline.
type armed struct {
	context.Context

	stop context.CancelFunc
}

// over is that of an attempt which is over before anybody asked for it.
var over = func() *armed {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return &armed{ctx, cancel}
}()

func (c *lazyDeadline) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && parent.Before(c.deadline) {
		return parent, true
	}
	return c.deadline, true
}

func (c *lazyDeadline) Done() <-chan struct{} { return c.arm().Done() }

func (c *lazyDeadline) Err() error {
	switch a := c.armed.Load(); {
	case a != nil:
		return a.Err()
	case c.expired():
		return c.arm().Err()
	}
	return c.Context.Err()
}

func (c *lazyDeadline) expired() bool { return !time.Now().Before(c.deadline) }

// arm makes the context that does the work.
func (c *lazyDeadline) arm() *armed {
	if a := c.armed.Load(); a != nil {
		return a
	}
	ctx, stop := context.WithDeadline(c.Context, c.deadline)
	if mine := (&armed{ctx, stop}); c.armed.CompareAndSwap(nil, mine) {
		return mine
	}
	stop()
	return c.armed.Load()
}

// cancel ends the context when the attempt is over: what the handler left running sees it end.
func (c *lazyDeadline) cancel() {
	if !c.armed.CompareAndSwap(nil, over) {
		c.armed.Load().stop()
	}
}
