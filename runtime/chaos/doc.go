// Package chaos does on purpose what happens by accident: handlers that fail, hang, panic, run twice or take the process
// with them, and a sink whose answers get lost. It is for tests and for a laptop; no deployed program may import it.
//
// A fault is a [pipeline.Middleware] around an attempt, or a wrapper of a [pipeline.Sink]. A [When] says which calls it
// strikes, counted for each function by itself:
//
//	Middleware: func(spec function.Spec) []pipeline.Middleware {
//		return append([]pipeline.Middleware{chaos.Slow(chaos.Every(200), 1500*time.Millisecond)}, standard(spec)...)
//	}
//
// Where a fault stands in the chain decides who sees it: outside of the retry middleware an error is a plain one, which the
// pipeline tries again without a limit; inside, it is a failed attempt like any other. A panic belongs inside of the recover
// middleware. Counting, and everything else, is safe for concurrent use.
//
// It imports runtime/pipeline alone.
package chaos
