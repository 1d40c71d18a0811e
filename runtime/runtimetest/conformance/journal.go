package conformance

import (
	"slices"
	"sync"
)

// entry is a call in the journal. Begin and end are places in one sequence; end is 0 while the call runs, and stays so
// when its process was killed.
type entry struct {
	Call

	begin, end int
	err        error
}

// journal is what the handlers of a case did, in the order in which it happened.
type journal struct {
	mu      sync.Mutex
	clock   int
	entries []*entry
	// counts and finished tell, by function and event, how often it was called and whether once without an error.
	counts   map[subject]int
	finished map[subject]bool
	// most is the highest of the counts.
	most int
}

// subject is an event as one function sees it.
type subject struct{ function, id string }

func newJournal() *journal { return &journal{counts: map[subject]int{}, finished: map[subject]bool{}} }

// begin notes the start of a call, and returns its entry with Nth filled in.
func (j *journal) begin(c Call) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	of := subject{c.Function, c.ID}
	j.counts[of]++
	c.Nth = j.counts[of]
	j.most = max(j.most, c.Nth)
	j.clock++
	e := &entry{Call: c, begin: j.clock}
	j.entries = append(j.entries, e)
	return e
}

// finish notes the end of a call.
func (j *journal) finish(e *entry, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock++
	e.end, e.err = j.clock, err
	if err == nil {
		j.finished[subject{e.Function, e.ID}] = true
	}
}

// handled returns how many different events were handled without an error, each function's for itself.
func (j *journal) handled() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.finished)
}

// mostCalls returns how often handlers were called for the event that they were called for most.
func (j *journal) mostCalls() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.most
}

// subjects returns for how many different events handlers were called.
func (j *journal) subjects() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.counts)
}

// calls returns a copy of the journal, by the begin of calls.
func (j *journal) calls() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]entry, len(j.entries))
	for i, e := range j.entries {
		all[i] = *e
	}
	return all
}

// callsOf returns the calls for one event.
func (j *journal) callsOf(id string) []entry {
	return slices.DeleteFunc(j.calls(), func(e entry) bool { return e.ID != id })
}
