package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// gate holds handlers until it is opened.
type gate struct {
	opened chan struct{}
	open   func()
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	return g
}

// pass waits until the gate is open. When ctx ends before, it returns ctx's error.
func (g *gate) pass(ctx context.Context) error {
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await receives from ch. It fails the test, naming what was waited for, when that takes too long.
func await[T any](t *testing.T, what string, ch <-chan T) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(runtimetest.Patience):
		t.Fatalf("waited %s for: %s", runtimetest.Patience, what)
	}
}
