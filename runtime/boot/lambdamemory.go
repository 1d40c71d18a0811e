package boot

import (
	"runtime/debug"

	"github.com/millrace/millrace/runtime/function"
)

// gcPercent is the garbage collector's setting where GOGC is not set. Records are short-lived and what is kept of them is
// bounded by the window, so a heap of a few times that size buys most of the collector's time: at Go's own 100 it takes
// as long as the rest of the runtime.
const gcPercent = 400

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
