package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Retry bounds a record's attempts, the first included. A failure before the last becomes a function.RetryAfterError
// that says when to try again, unless the handler said so itself; the last becomes permanent, with the class
// function.ClassExhausted. The waiting is done by the lane, which parks the key and holds no worker.
//
// Calls that nobody could tell of, Delivery.Suspected, count as attempts. A record is called once nevertheless, unless an
// attempt is known to have failed: where processes crash, records that had no part in it do not end as dead letters. Retry
// sets the limit; the pipeline looks at it right before it calls the handler, when it has asked what is remembered of the
// event.
func Retry(attempts int, backoff pipeline.Backoff) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) error {
			d.Limit = attempts
			err := next(ctx, d)
			if errors.Is(err, pipeline.ErrSpent) {
				d.Attempts--
				return exhausted(d, attempts, errInterrupted)
			}
			if function.VerdictOf(err) != function.Retry {
				return err
			}
			if d.Attempts+d.Suspected >= attempts {
				return exhausted(d, attempts, err)
			}
			if _, asked := errors.AsType[*function.RetryAfterError](err); asked {
				return err
			}
			return function.RetryAfter(backoff.Delay(d.Attempts), err)
		}
	}
}

var errInterrupted = errors.New("no call is left: the last attempt ended with its process, or its dead letter could not be written")

func exhausted(d *pipeline.Delivery, attempts int, err error) error {
	return &function.PermanentError{
		Class: function.ClassExhausted,
		Err:   fmt.Errorf("attempt %d of %d: %w", min(d.Attempts+d.Suspected, attempts), attempts, err),
	}
}
