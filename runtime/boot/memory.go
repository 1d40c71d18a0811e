//go:build !lambda.norpc

package boot

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/function"
)

const (
	// roomyMemory is up to which size of the process gcPercent counts, in bytes. Beyond it the heap may have about twice the size
	// of what is alive, as with Go's own setting: full windows of several partitions would otherwise take gigabytes. At first it
	// is less, by savedMemory: full windows mean slow handlers, which give the collector time.
	roomyMemory = 128 << 20
	savedMemory = 32 << 20
	// memoryInterval is how often the limit follows what is alive.
	memoryInterval = time.Second
)

// collectGarbage sets the collector of the process, but leaves alone what the environment sets, and has its limit follow what is
// alive until ctx ends or stop is called.
func collectGarbage(ctx context.Context, lookup function.Lookup) (stop func()) {
	if _, set := lookup("GOGC"); set {
		return func() {}
	}
	debug.SetGCPercent(gcPercent)
	if _, set := lookup("GOMEMLIMIT"); set {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { followLive(ctx) })
	return func() {
		cancel()
		following.Wait()
	}
}

// followLive sets the limit anew again and again.
func followLive(ctx context.Context) {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		metrics.Read(live)
		debug.SetMemoryLimit(memoryLimit(live[0].Value.Uint64()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// memoryLimit is the size of the process that the collector keeps to, where it can, when so many bytes are alive.
func memoryLimit(live uint64) int64 {
	return max(roomyMemory, 2*int64(min(live, 1<<60))-savedMemory)
}
