package middleware

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// maxDependencies is how many dependencies of one function are known. Others have no circuit for it.
const maxDependencies = 16

// Breaker lets no attempt start while the circuit of a dependency that the function needs is open: the error is a
// *function.WaitError that names the circuit. While it is half-open one attempt of the process at a time goes through.
//
// Which dependencies a function needs is learned from what its attempts report by function.Unavailable. That is a failure
// of the dependency; whatever else an attempt comes to, it is a success of those that the function needs, for it got as
// far as a judgement of its record. It is neither when the attempt had to wait for something else or was given up.
func Breaker(circuits *breaker.Set) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		needs := &dependencies{circuits: circuits}
		return func(ctx context.Context, d *pipeline.Delivery) error {
			calls, err := needs.allow()
			if err != nil {
				return breaker.Wait(err)
			}
			defer calls.cancel()
			err = next(ctx, d)
			if err == nil || ctx.Err() == nil {
				calls.end(err)
				needs.learn(err)
			}
			return err
		}
	}
}

// dependencies are the circuits of what a function needs.
type dependencies struct {
	circuits *breaker.Set

	// mu is held to add to known. The slice that it points to is never changed: attempts read it without a lock.
	mu    sync.Mutex
	known atomic.Pointer[[]*breaker.Breaker]
}

func (n *dependencies) list() []*breaker.Breaker {
	if known := n.known.Load(); known != nil {
		return *known
	}
	return nil
}

// allow asks every circuit. The attempt goes through only when all of them let it.
func (n *dependencies) allow() (calls, error) {
	known := n.list()
	if len(known) == 0 {
		return nil, nil
	}
	allowed := make(calls, 0, len(known))
	for _, b := range known {
		c, err := b.Allow()
		if err != nil {
			allowed.cancel()
			return nil, err
		}
		allowed = append(allowed, c)
	}
	return allowed, nil
}

// learn counts the failure of a dependency that the function was not known to need.
func (n *dependencies) learn(err error) {
	unavailable, ok := errors.AsType[*function.UnavailableError](err)
	if !ok {
		return
	}
	b, ok := n.add(unavailable.Dependency)
	if !ok || !b.Blames(err) {
		return
	}
	if call, refused := b.Allow(); refused == nil {
		call.Fail(err)
	}
}

// add adds a dependency to what the function needs. It is false when it is there already, or when there is no room.
func (n *dependencies) add(dependency string) (*breaker.Breaker, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.list()
	named := func(b *breaker.Breaker) bool { return b.Dependency() == dependency }
	if len(known) == maxDependencies || slices.ContainsFunc(known, named) {
		return nil, false
	}
	b, ok := n.circuits.Breaker(dependency)
	if ok {
		longer := append(slices.Clone(known), b)
		n.known.Store(&longer)
	}
	return b, ok
}

// calls are what an attempt was let through for.
type calls []*breaker.Call

// end tells each circuit what the attempt came to.
func (cs calls) end(err error) {
	waits := function.VerdictOf(err) == function.Broken
	for _, c := range cs {
		switch {
		case c.Breaker().Blames(err):
			c.Fail(err)
		case !waits:
			c.Succeed()
		}
	}
}

// cancel gives up what has not ended.
func (cs calls) cancel() {
	for _, c := range cs {
		c.Cancel()
	}
}
