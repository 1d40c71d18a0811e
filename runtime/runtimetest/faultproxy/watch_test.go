package faultproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/faultproxy"
)

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := b.client(t)
	mustPing(t, client)

	mine, other := b.Answered(faultproxy.Keys(heartbeat)), b.Answered(faultproxy.Keys(8))
	if isClosed(mine) {
		t.Error("a heartbeat is told as answered that came before")
	}
	mustPing(t, client)
	runtimetest.Eventually(t, "the answer to be told", func() bool { return isClosed(mine) })
	if isClosed(other) {
		t.Error("a heartbeat is told as a commit")
	}
}

// The request that was on its way when its connection ended has no answer; the next one has.
func TestAnsweredOnAnotherConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := b.client(t)
	mustPing(t, client)
	answered := b.Answered(faultproxy.Keys(heartbeat))
	held := b.Hold(faultproxy.Keys(heartbeat))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_ = ping(ctx, client) // it may be tried again, or told as failed
	<-held.Taken()
	b.Cut()
	mustPing(t, client)
	runtimetest.Eventually(t, "the answer to be told", func() bool { return isClosed(answered) })
	release(t, held)
}
