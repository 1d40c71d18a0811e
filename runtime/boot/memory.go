package boot

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/millrace/millrace/runtime/function"
)

const (
	// gcPercent is the garbage collector's setting where GOGC is not set. Records are short-lived and what is kept of them is
	// bounded by the window, so a heap of a few times that size buys most of the collector's time: at Go's own 100 it takes
	// as long as the rest of the runtime.
	gcPercent = 400
	// roomyMemory is up to which size of the process gcPercent counts, in bytes. Beyond it the heap may have twice the size
	// of what is alive, as with Go's own setting: full windows of several partitions would otherwise take gigabytes.
	roomyMemory = 128 << 20
	// memoryInterval is how often the limit follows what is alive.
	memoryInterval = time.Second
)

// collectGarbage sets the collector until ctx ends, or leaves it alone where the environment sets it.
func collectGarbage(ctx context.Context, lookup function.Lookup) {
	if _, set := lookup("GOGC"); set {
		return
	}
	debug.SetGCPercent(gcPercent)
	if _, set := lookup("GOMEMLIMIT"); set {
		return
	}
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

// collectWithin sets the collector for a process that may have so many bytes and is frozen at times, but leaves alone what
// the environment sets. 0 bytes are no limit.
func collectWithin(lookup function.Lookup, bytes int64) {
	if _, set := lookup("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	if _, set := lookup("GOMEMLIMIT"); !set && bytes > 0 {
		// The rest is for what the collector does not see: the program itself, stacks of threads, buffers of the system.
		debug.SetMemoryLimit(bytes - bytes/8)
	}
}

// memoryLimit is the size of the process that the collector keeps to, where it can, when so many bytes are alive.
func memoryLimit(live uint64) int64 {
	return max(roomyMemory, 2*int64(min(live, 1<<60)))
}
