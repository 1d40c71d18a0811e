package process

import (
	"fmt"
	"strings"
	"time"
)

// Kind tells what an event is about.
type Kind string

// The kinds of events, named after Lambda's lines in the log.
const (
	// KindInit: a process ended, or was ended, before it was ready.
	KindInit Kind = "INIT_REPORT"
	// KindStart: an invocation is handed to a process.
	KindStart Kind = "START"
	// KindEnd: an invocation is over. A report follows. There is neither for one that its caller gave up.
	KindEnd Kind = "END"
	// KindReport: how long an invocation took, and what failed.
	KindReport Kind = "REPORT"
)

// Event is something that happened to a process.
type Event struct {
	Kind Kind
	Time time.Time
	// Function is the function's name.
	Function string
	// PID is the process; 0 for one that was started by hand.
	PID int
	// RequestID is the invocation's id.
	RequestID string
	// Duration is how long the function worked, and Init how long the process took to start, if it was started for this
	// invocation. Of reports only.
	Duration, Init time.Duration
	// Billed is what Lambda would charge for: both, in whole milliseconds. Of reports only.
	Billed time.Duration
	// MemoryMB is what the function was told of its memory. Of reports only.
	MemoryMB int
	// Error is why the invocation or the start failed. Of reports only.
	Error *FunctionError
}

// String is the line that Lambda writes to the function's log.
func (e Event) String() string {
	var line strings.Builder
	switch e.Kind {
	case KindStart:
		fmt.Fprintf(&line, "START RequestId: %s Version: %s", e.RequestID, version)
	case KindEnd:
		fmt.Fprintf(&line, "END RequestId: %s", e.RequestID)
	case KindInit:
		fmt.Fprintf(&line, "INIT_REPORT Init Duration: %s\tPhase: init", milliseconds(e.Init))
	case KindReport:
		fmt.Fprintf(&line, "REPORT RequestId: %s\tDuration: %s\tBilled Duration: %d ms\tMemory Size: %d MB",
			e.RequestID, milliseconds(e.Duration), e.Billed.Milliseconds(), e.MemoryMB)
		if e.Init > 0 {
			fmt.Fprintf(&line, "\tInit Duration: %s", milliseconds(e.Init))
		}
	}
	switch {
	case e.Error == nil:
	case e.Error.Type == TypeTimeout:
		line.WriteString("\tStatus: timeout")
	default:
		fmt.Fprintf(&line, "\tStatus: error\tError Type: %s", e.Error.Type)
	}
	return line.String()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// billed rounds up to whole milliseconds.
func billed(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
