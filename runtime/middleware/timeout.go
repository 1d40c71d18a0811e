package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

	mu       sync.Mutex
	armed    context.Context
	stop     context.CancelFunc
	canceled bool
}

func (c *lazyDeadline) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && parent.Before(c.deadline) {
		return parent, true
	}
	return c.deadline, true
}

func (c *lazyDeadline) Done() <-chan struct{} { return c.arm().Done() }

func (c *lazyDeadline) Err() error {
	c.mu.Lock()
	settled := c.armed != nil || c.canceled
	c.mu.Unlock()
	if settled || c.expired() {
		return c.arm().Err()
	}
	return c.Context.Err()
}

func (c *lazyDeadline) expired() bool { return !time.Now().Before(c.deadline) }

// arm makes the context that does the work.
func (c *lazyDeadline) arm() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed == nil {
		c.armed, c.stop = context.WithDeadline(c.Context, c.deadline)
		if c.canceled {
			c.stop()
		}
	}
	return c.armed
}

// cancel ends the context when the attempt is over: what the handler left running sees it end.
func (c *lazyDeadline) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = true
	if c.stop != nil {
		c.stop()
	}
}
