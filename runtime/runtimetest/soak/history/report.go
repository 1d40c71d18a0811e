package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Law is what a violation breaks.
type Law string

// The laws, as the last line of a report names them.
const (
	// Lost: an event is neither handled, with its output, nor in a dead letter.
	Lost Law = "lost"
	// Order: the handler's calls for a key overlap, or an event was called before an earlier one of its key was finished,
	// or a process started a handler for a partition that another one had taken over.
	Order Law = "order"
	// Attempts: the handler was called more often for a failing event than is allowed.
	Attempts Law = "attempts"
	// Early: an offset was committed behind a record that was not finished.
	Early Law = "early"
	// DeadLetters: an event has a dead letter too many, or one that it should not have.
	DeadLetters Law = "deadletters"
	// Outputs: an output is there twice, under another id, or without a cause.
	Outputs Law = "outputs"
	// Open: a transaction is open in the end.
	Open Law = "open"
)

var laws = []Law{Lost, Order, Attempts, Early, DeadLetters, Outputs, Open}

// Violation is one thing that must not be.
type Violation struct {
	Law Law
	// At is when it happened, 0 where that is not known.
	At time.Duration
	// What describes it, with events, offsets, processes and times.
	What string
	// Nearby are the faults around At.
	Nearby []Fault
}

// Report is the judgement on a [History].
type Report struct {
	// Violations are in order of law, then of time.
	Violations []Violation
	// Faults counts those of the history; Kinds does by kind.
	Faults int
	Kinds  map[string]Landing
	// Takeovers counts how often a partition went from one process to another.
	Takeovers int
	// Retried counts the failing events that were called more than once; Repeated all others.
	Retried, Repeated int
}

// Landing is how the faults of a kind met the run.
type Landing struct {
	Faults int
	// OnWork counts those that came while a handler was running in a process that they concern.
	OnWork int
}

// Count returns the number of violations of a law.
func (r *Report) Count(law Law) int {
	n := 0
	for _, v := range r.Violations {
		if v.Law == law {
			n++
		}
	}
	return n
}

// String returns the line that a run ends with.
func (r *Report) String() string {
	var line strings.Builder
	line.WriteString("SOAK")
	for _, law := range laws {
		fmt.Fprintf(&line, " %s=%d", law, r.Count(law))
	}
	fmt.Fprintf(&line, " faults=%d", r.Faults)
	return line.String()
}

// Void returns why a run says nothing, although it may have no violations: too little happened in it.
func (r *Report) Void() []string {
	var reasons []string
	kinds := make([]string, 0, len(r.Kinds))
	for kind := range r.Kinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		if l := r.Kinds[kind]; 2*l.OnWork < l.Faults {
			reasons = append(reasons, fmt.Sprintf("%s: %d of %d landed on work in flight", kind, l.OnWork, l.Faults))
		}
	}
	if r.Faults == 0 {
		reasons = append(reasons, "there was no fault")
	}
	if r.Takeovers == 0 {
		reasons = append(reasons, "no partition went from one process to another")
	}
	if r.Retried == 0 {
		reasons = append(reasons, "no failing event was tried again")
	}
	return reasons
}

// sort brings the violations into their order.
func (r *Report) sort() {
	slices.SortStableFunc(r.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(slices.Index(laws, a.Law), slices.Index(laws, b.Law)), cmp.Compare(a.At, b.At))
	})
}
