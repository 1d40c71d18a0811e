package kafkasink

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWaitListensWhenItsPatienceIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var i impatience
		for range 20 { // at any moment between two ticks
			w := i.begin(t.Context())
			began := time.Now()
			<-w.over
			if took := time.Since(began); took < patience || took > 2*patience {
				t.Errorf("over after %s", took)
			}
			time.Sleep(patience / 7)
		}
	})
}

func TestAWaitListensAtOnce(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	soon, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for name, ctx := range map[string]context.Context{"where its context has ended": ended, "where it ends soon": soon} {
		var i impatience
		w := i.begin(ctx)
		select {
		case <-w.over:
		default:
			t.Errorf("%s: it does not listen", name)
		}
	}
}

func TestAWaitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var i impatience
		w := i.begin(t.Context())
		defer w.end()
		began := time.Now()
		<-w.over
		<-w.listen().Done()
		if took := time.Since(began); took != deliveryTimeout || !errors.Is(context.Cause(w.ctx), errSlow) {
			t.Errorf("ended after %s: %v", took, context.Cause(w.ctx))
		}
	})
}

func TestNothingTicksWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var i impatience
		w := i.begin(t.Context())
		<-w.over
		time.Sleep(4 * patience)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.timer != nil {
			t.Error("it still ticks")
		}
	})
}
