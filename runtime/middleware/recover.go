package middleware

import (
	"context"
	"runtime/debug"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// stackLimit bounds the stack that a panic leaves, in bytes: it travels in a header of the dead letter.
const stackLimit = 4 << 10

// Recover turns a panic into a *function.PanicError.
func Recover() pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) (err error) {
			defer func() {
				if v := recover(); v != nil {
					stack := debug.Stack()
					err = &function.PanicError{Value: v, Stack: stack[:min(len(stack), stackLimit)]}
				}
			}()
			return next(ctx, d)
		}
	}
}
