package faultproxy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/faultproxy"
)

// TestHold delivers a request after its client has sent another one on a new connection.
func TestHold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := b.client(t)
	mustPing(t, client)

	held := b.Hold(faultproxy.Keys(8, heartbeat))
	mustPing(t, client) // the client tries again
	<-held.Taken()
	if key := held.APIKey(); key != heartbeat {
		t.Errorf("holds a request with key %d, want %d", key, heartbeat)
	}
	if n := b.arrived.Load(); n != 2 {
		t.Errorf("%d requests arrived while one is held, want 2", n)
	}
	mustPing(t, client)
	b.Cut()
	release(t, held)
	if n := b.arrived.Load(); n != 4 {
		t.Errorf("%d requests arrived, want 4 with the held one", n)
	}
	runtimetest.Eventually(t, "the old connection to close", func() bool { return b.Connections() == 0 })
	mustPing(t, client)
}

// TestHoldTakesOne lets further requests pass that match as well.
func TestHoldTakesOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := b.client(t)
	first, second := b.Hold(faultproxy.Keys(heartbeat)), b.Hold(faultproxy.Keys(heartbeat))
	mustPing(t, client)
	<-first.Taken()
	<-second.Taken()
	if n := b.arrived.Load(); n != 1 {
		t.Errorf("%d requests arrived, want the third try only", n)
	}
	release(t, second)
	release(t, first)
	if n := b.arrived.Load(); n != 3 {
		t.Errorf("%d requests arrived, want 3", n)
	}
}

func TestHoldTakesNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held := b.Hold(faultproxy.Keys(26))
	mustPing(t, b.client(t))
	select {
	case <-held.Taken():
		t.Errorf("holds a request with key %d, which does not match", held.APIKey())
	default:
	}
	if err := held.Release(t.Context()); !errors.Is(err, faultproxy.ErrNothingHeld) {
		t.Errorf("release without a request: %v", err)
	}
}

// TestReleaseWaits gives up waiting for an answer that does not come, not the delivery.
func TestReleaseWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held := b.Hold(faultproxy.Keys(heartbeat))
	mustPing(t, b.client(t))
	<-held.Taken()
	restore := b.HalfOpen()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := held.Release(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("released into a half-open network: %v", err)
	}
	restore()
	runtimetest.Eventually(t, "the held request", func() bool { return b.arrived.Load() == 2 })
}

func release(t *testing.T, held *faultproxy.Held) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runtimetest.Patience)
	defer cancel()
	if err := held.Release(ctx); err != nil {
		t.Fatal(err)
	}
}
