// Package middleware holds what the runtime wraps around a handler, one behaviour a file. From the outside in:
//
//	Retry( Timeout( Recover( handler, then publish ) ) )
//
// Each wraps the handler together with the publishing of its events: none sees success before the events are
// acknowledged. Recover stands innermost, so that a panic is a failed attempt like any other and Retry counts it.
//
// It imports runtime/pipeline and runtime/function.
package middleware

import (
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Standard returns the middleware that every function runs in, the outermost first.
func Standard(backoff pipeline.Backoff) func(function.Spec) []pipeline.Middleware {
	return func(spec function.Spec) []pipeline.Middleware {
		return []pipeline.Middleware{
			Retry(spec.Attempts, backoff),
			Timeout(spec.Timeout),
			Recover(),
		}
	}
}
