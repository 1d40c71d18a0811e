package chaos

import (
	"context"
	"time"

	"github.com/millrace/millrace/runtime/pipeline"
)

// Fail makes attempts fail with err before they are made.
func Fail(when When, err error) pipeline.Middleware {
	return around(when, func(context.Context, *pipeline.Delivery, pipeline.Handler) error { return err })
}

// FailAfter makes attempts fail with err when they are made: the handler has done its work and its events are published,
// but nobody learns of it. An attempt that fails by itself keeps its own error.
func FailAfter(when When, err error) pipeline.Middleware {
	return around(when, func(ctx context.Context, d *pipeline.Delivery, next pipeline.Handler) error {
		if own := next(ctx, d); own != nil {
			return own
		}
		return err
	})
}

// Slow makes attempts begin later by delay, or, when their context ends before, fail with its error.
func Slow(when When, delay time.Duration) pipeline.Middleware {
	return around(when, func(ctx context.Context, d *pipeline.Delivery, next pipeline.Handler) error {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return next(ctx, d)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// Hang makes attempts pay no heed to their context: they begin later by delay, whatever happens meanwhile.
func Hang(when When, delay time.Duration) pipeline.Middleware {
	return around(when, func(ctx context.Context, d *pipeline.Delivery, next pipeline.Handler) error {
		<-time.After(delay)
		return next(ctx, d)
	})
}

// Panic makes attempts panic with value before they are made.
func Panic(when When, value any) pipeline.Middleware {
	return around(when, func(context.Context, *pipeline.Delivery, pipeline.Handler) error { panic(value) })
}

// Duplicate makes attempts twice, one after the other, as when a record is delivered again after its commit was lost. The
// second is made only where the first succeeds, and its error is the attempt's.
func Duplicate(when When) pipeline.Middleware {
	return around(when, func(ctx context.Context, d *pipeline.Delivery, next pipeline.Handler) error {
		if err := next(ctx, d); err != nil {
			return err
		}
		return next(ctx, d)
	})
}

// Crash ends the process, as [Kill] does, at a point of an attempt.
func Crash(when When, at Point) pipeline.Middleware {
	return around(when, func(ctx context.Context, d *pipeline.Delivery, next pipeline.Handler) error {
		if at == Before {
			Kill()
		}
		err := next(ctx, d)
		if at == After {
			Kill()
		}
		return err
	})
}

// around returns a middleware that makes struck attempts by way of fault.
func around(when When, fault func(context.Context, *pipeline.Delivery, pipeline.Handler) error) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		c := &counter{}
		return func(ctx context.Context, d *pipeline.Delivery) error {
			if !c.struck(when) {
				return next(ctx, d)
			}
			return fault(ctx, d, next)
		}
	}
}
