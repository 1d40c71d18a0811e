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
func Retry(attempts int, backoff pipeline.Backoff) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) error {
			err := next(ctx, d)
			if function.VerdictOf(err) != function.Retry {
				return err
			}
			if d.Attempts >= attempts {
				return &function.PermanentError{
					Class: function.ClassExhausted,
					Err:   fmt.Errorf("attempt %d of %d: %w", d.Attempts, attempts, err),
				}
			}
			if _, asked := errors.AsType[*function.RetryAfterError](err); asked {
				return err
			}
			return function.RetryAfter(backoff.Delay(d.Attempts), err)
		}
	}
}
