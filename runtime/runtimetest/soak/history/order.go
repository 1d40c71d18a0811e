package history

import (
	"slices"
	"time"
)

// order looks at the calls of each key.
func (c *check) order() {
	keys := map[string][]*Call{}
	for i := range c.Calls {
		call := &c.Calls[i]
		key := c.byID[call.Event].Key
		keys[key] = append(keys[key], call)
	}
	before := c.predecessors()
	for _, calls := range keys {
		c.overlaps(calls)
		c.backwards(calls)
		for _, call := range calls {
			c.overtakes(call, before[call.Event])
		}
	}
}

// predecessors returns the event before each in its key.
func (c *check) predecessors() map[string]*Event {
	before := map[string]*Event{}
	for _, events := range c.byPartition {
		last := map[string]*Event{}
		for _, e := range events {
			before[e.ID] = last[e.Key]
			last[e.Key] = e
		}
	}
	return before
}

// overlaps finds calls of a key that ran at the same time. A handler that runs cannot be stopped when its process is
// paused or cut off, and loses its partition so: the new owner's calls may overlap with it.
func (c *check) overlaps(calls []*Call) {
	var running []*Call
	for _, call := range calls {
		running = slices.DeleteFunc(running, func(r *Call) bool { return c.end(r) <= call.Start })
		for _, r := range running {
			if !c.silenced(r, call.Start) || r.Process == call.Process &&
				!c.released(r.Process, c.byID[r.Event].Partition, r.Start, call.Start) {
				c.violatef(Order, call.Start, "overlap: %s started while %s ran: %s; %s",
					c.byID[call.Event], c.byID[r.Event], call, r)
			}
		}
		running = append(running, call)
	}
}

// silenced tells whether a fault silenced the process of a call while it ran, and before the given time.
func (c *check) silenced(call *Call, before time.Duration) bool {
	return slices.ContainsFunc(c.Faults, func(f Fault) bool {
		return f.Silences && (f.Process == "" || f.Process == call.Process) &&
			f.From <= before && f.From <= c.end(call) && call.Start <= f.Until
	})
}

// overtakes finds a call whose predecessor in the key was not finished yet, by any process.
func (c *check) overtakes(call *Call, previous *Event) {
	if previous != nil && !c.done(previous, call.Start) {
		c.violatef(Order, call.Start, "overtaken: %s started before %s was finished: %s; %s",
			c.byID[call.Event], previous, call, told(c.calls[previous.ID]))
	}
}

// done tells whether an event was finished before a time. One that always fails is so with its last call: that none
// follows, backwards finds out. One that was buried without a call left no time.
func (c *check) done(e *Event, before time.Duration) bool {
	calls := c.calls[e.ID]
	if len(calls) == 0 {
		return len(c.lettersOf[e.ID]) > 0
	}
	return slices.ContainsFunc(calls, func(call *Call) bool {
		return call.Start < before && (e.Fails || succeeded(call) && call.End <= before)
	})
}

// backwards finds a call of an event after one of a later event of its key, in one process that has not let the partition
// go in between. A new owner may begin again where the commit stands.
func (c *check) backwards(calls []*Call) {
	newest := map[string]*Call{}
	for _, call := range calls {
		e := c.byID[call.Event]
		last := newest[call.Process]
		if last != nil && c.byID[last.Event].Offset > e.Offset && !c.released(call.Process, e.Partition, last.Start, call.Start) {
			c.violatef(Order, call.Start, "backwards: %s started after %s: %s; %s", e, c.byID[last.Event], call, last)
			continue
		}
		newest[call.Process] = call
	}
}

// released tells whether process let the partition go between two times.
func (c *check) released(process string, partition int32, after, before time.Duration) bool {
	return slices.ContainsFunc(c.Releases, func(r Release) bool {
		return r.Process == process && r.Partition == partition && after <= r.At && r.At <= before
	})
}

// tenure is a process as the owner of a partition, from its first to its last call.
type tenure struct {
	process string
	first   time.Duration
	calls   []*Call
}

// tenures finds processes that start handlers for a partition after another has begun to.
func (c *check) tenures() {
	for partition := range c.byPartition {
		var all []*tenure
		open := map[string]*tenure{}
		for i := range c.Calls {
			call := &c.Calls[i]
			if c.byID[call.Event].Partition != partition {
				continue
			}
			own := open[call.Process]
			if own == nil || c.released(call.Process, partition, own.calls[len(own.calls)-1].Start, call.Start) {
				own = &tenure{process: call.Process, first: call.Start}
				open[call.Process] = own
				all = append(all, own)
			}
			own.calls = append(own.calls, call)
		}
		c.report.Takeovers += takeovers(all)
		for i, t := range all {
			c.haunts(t, all[i+1:])
		}
	}
}

func takeovers(all []*tenure) int {
	n := 0
	for i := 1; i < len(all); i++ {
		if all[i].process != all[i-1].process {
			n++
		}
	}
	return n
}

// haunts finds the calls that t started after another process had taken over. Those that were past all checks when their
// process was stopped cannot be held back: they start as soon as the process goes on.
func (c *check) haunts(t *tenure, later []*tenure) {
	i := slices.IndexFunc(later, func(other *tenure) bool { return other.process != t.process })
	if i < 0 {
		return
	}
	next := later[i]
	for _, call := range t.calls {
		if call.Start > next.first && !c.resumed(call) {
			c.violatef(Order, call.Start, "zombie: %s was started by %s after %s had taken over partition %d at %s: %s",
				c.byID[call.Event], t.process, next.process, c.byID[call.Event].Partition, clock(next.first), call)
		}
	}
}

// resumed tells whether a call is one of the first that its process started after it had been stopped: each of its
// processors may have been past all checks.
func (c *check) resumed(call *Call) bool {
	return slices.ContainsFunc(c.Faults, func(f Fault) bool {
		return f.Stops && f.Process == call.Process && call.Start >= f.Until && c.startsBetween(call.Process, f.Until, call.Start) < c.Processors
	})
}

// startsBetween counts the calls that process started from after on and before before.
func (c *check) startsBetween(process string, after, before time.Duration) int {
	n := 0
	for i := range c.Calls {
		if call := &c.Calls[i]; call.Process == process && after <= call.Start && call.Start < before {
			n++
		}
	}
	return n
}
