// Package middleware holds what the runtime wraps around a handler, one behaviour a file. From the outside in:
//
//	Breaker( Retry( Timeout( Recover( handler, then publish ) ) ) )
//
// Each wraps the handler together with the publishing of its events: none sees success before the events are
// acknowledged. Recover stands innermost, so that a panic is a failed attempt like any other and Retry counts it. Breaker stands
// outermost, so that an attempt that it does not let through is none.
//
// It imports runtime/pipeline, runtime/function and runtime/breaker.
package middleware

import (
	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// WithCircuits returns the middleware that every function of a process runs in, the outermost first: [Standard] behind the
// circuits of their dependencies.
func WithCircuits(circuits *breaker.Set, backoff pipeline.Backoff) func(function.Spec) []pipeline.Middleware {
	standard := Standard(backoff)
	return func(spec function.Spec) []pipeline.Middleware {
		return append([]pipeline.Middleware{Breaker(circuits)}, standard(spec)...)
	}
}

// Standard returns what every function runs in, the outermost first, without circuits: an attempt is made for each record
// even while a dependency is known to be down.
func Standard(backoff pipeline.Backoff) func(function.Spec) []pipeline.Middleware {
	return func(spec function.Spec) []pipeline.Middleware {
		return []pipeline.Middleware{
			Retry(spec.Attempts, backoff),
			Timeout(spec.Timeout),
			Recover(),
		}
	}
}
