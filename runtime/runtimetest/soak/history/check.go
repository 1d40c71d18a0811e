package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// nearby is how far a fault may lie from a violation to be told with it.
const nearby = 3 * time.Second

// Check judges h. An error means that h itself makes no sense: an event is there twice, or a call is of an event that is
// not there.
func Check(h *History) (*Report, error) {
	c, err := newCheck(h)
	if err != nil {
		return nil, err
	}
	c.complete()
	c.attempts()
	c.order()
	c.tenures()
	c.commits()
	c.letters()
	c.outputs()
	for _, id := range h.Open {
		c.violatef(Open, 0, "a transaction is open: %s", id)
	}
	c.count()
	c.report.sort()
	return &c.report, nil
}

// check is a History, indexed.
type check struct {
	*History

	byID map[string]*Event
	// byPartition are the events in order of offset.
	byPartition map[int32][]*Event
	// calls of an event, in order of time.
	calls map[string][]*Call
	// outputsOf and lettersOf are what came of an event.
	outputsOf map[string][]Output
	lettersOf map[string][]Letter
	report    Report
}

func newCheck(h *History) (*check, error) {
	c := &check{
		History:     h,
		byID:        map[string]*Event{},
		byPartition: map[int32][]*Event{},
		calls:       map[string][]*Call{},
		outputsOf:   map[string][]Output{},
		lettersOf:   map[string][]Letter{},
		report:      Report{Faults: len(h.Faults), Kinds: map[string]Landing{}},
	}
	if len(h.Events) == 0 {
		return nil, errors.New("there are no events")
	}
	for i := range h.Events {
		e := &h.Events[i]
		if other, ok := c.byID[e.ID]; ok {
			return nil, fmt.Errorf("event %s stands twice in the topic: at %s and %s", e.ID, at(other.Position), at(e.Position))
		}
		c.byID[e.ID] = e
		c.byPartition[e.Partition] = append(c.byPartition[e.Partition], e)
	}
	for _, events := range c.byPartition {
		slices.SortFunc(events, func(a, b *Event) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	slices.SortStableFunc(h.Calls, func(a, b Call) int { return cmp.Compare(a.Start, b.Start) })
	for i := range h.Calls {
		call := &h.Calls[i]
		if c.byID[call.Event] == nil {
			return nil, fmt.Errorf("%s called its handler for event %s, which is not in the topic", call.Process, call.Event)
		}
		c.calls[call.Event] = append(c.calls[call.Event], call)
	}
	for _, o := range h.Outputs {
		c.outputsOf[o.Cause] = append(c.outputsOf[o.Cause], o)
	}
	for _, l := range h.Letters {
		c.lettersOf[l.Event] = append(c.lettersOf[l.Event], l)
	}
	return c, nil
}

func (c *check) violatef(law Law, when time.Duration, format string, args ...any) {
	v := Violation{Law: law, At: when, What: fmt.Sprintf(format, args...)}
	if when > 0 {
		for _, f := range c.Faults {
			if f.From-nearby <= when && when <= f.Until+nearby {
				v.Nearby = append(v.Nearby, f)
			}
		}
	}
	c.report.Violations = append(c.report.Violations, v)
}

// complete finds what is lost.
func (c *check) complete() {
	for i := range c.Events {
		e := &c.Events[i]
		handled := slices.ContainsFunc(c.calls[e.ID], succeeded) && len(c.outputsOf[e.ID]) > 0
		if !handled && len(c.lettersOf[e.ID]) == 0 {
			c.violatef(Lost, 0, "%s: %s; %d outputs and no dead letter", e, told(c.calls[e.ID]), len(c.outputsOf[e.ID]))
		}
	}
}

// attempts counts the calls of what always fails.
func (c *check) attempts() {
	for i := range c.Events {
		e := &c.Events[i]
		calls := c.calls[e.ID]
		if e.Fails && len(calls) > 1 {
			c.report.Retried++
		}
		if !e.Fails && len(calls) > 1 {
			c.report.Repeated++
		}
		if e.Fails && len(calls) > c.Attempts {
			c.violatef(Attempts, calls[c.Attempts].Start, "%s was called %d times, allowed are %d: %s", e, len(calls), c.Attempts, told(calls))
		}
	}
}

// count finds how the faults met the run.
func (c *check) count() {
	for _, f := range c.Faults {
		l := c.report.Kinds[f.Kind]
		l.Faults++
		if f.Delivered || !f.Missed && c.working(f) {
			l.OnWork++
		}
		c.report.Kinds[f.Kind] = l
	}
}

// working tells whether a handler ran when a fault began, in a process that it concerns.
func (c *check) working(f Fault) bool {
	return slices.ContainsFunc(c.Calls, func(call Call) bool {
		return (f.Process == "" || call.Process == f.Process) && call.Start <= f.From && f.From <= c.end(&call)
	})
}

// never is later than everything.
const never = time.Duration(1<<63 - 1)

// end returns until when a call may have run at most.
func (c *check) end(call *Call) time.Duration {
	if call.End > 0 {
		return call.End
	}
	if exit, ok := c.Exits[call.Process]; ok {
		return exit
	}
	return never
}

func succeeded(call *Call) bool { return call.End > 0 && !call.Failed }
