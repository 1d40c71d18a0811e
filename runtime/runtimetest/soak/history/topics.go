package history

import "slices"

// commits finds offsets that were committed while a record before them was not finished. Of several samples the first
// that passes a record counts.
func (c *check) commits() {
	passed := map[int32]int{}
	for _, s := range c.Samples {
		events := c.byPartition[s.Partition]
		for i := passed[s.Partition]; i < len(events) && events[i].Offset < s.Committed; i++ {
			c.finished(events[i], s)
			passed[s.Partition] = i + 1
		}
	}
}

// finished finds what an event lacks at the time of a sample that passes it.
func (c *check) finished(e *Event, s Sample) {
	ended := slices.ContainsFunc(c.calls[e.ID], func(call *Call) bool { return succeeded(call) && call.End <= s.At })
	written := func(p Position, ends map[int32]int64) bool { return ends == nil || p.Offset < ends[p.Partition] }
	out := slices.ContainsFunc(c.outputsOf[e.ID], func(o Output) bool { return written(o.Position, s.Outputs) })
	buried := slices.ContainsFunc(c.lettersOf[e.ID], func(l Letter) bool { return written(l.Position, s.Letters) })
	if !buried && (!ended || !out) {
		c.violatef(Early, s.At, "offset %d of partition %d was committed at %s, past %s: %s; output there: %v, dead letter: %v",
			s.Committed, s.Partition, clock(s.At), e, told(c.calls[e.ID]), out, buried)
	}
}

// letters finds dead letters that should not be.
func (c *check) letters() {
	for i := range c.Events {
		e := &c.Events[i]
		switch letters := c.lettersOf[e.ID]; {
		case e.Fails && len(letters) == 0:
			c.violatef(DeadLetters, 0, "%s always fails and has no dead letter: %s", e, told(c.calls[e.ID]))
		case !e.Fails && len(letters) > 0:
			c.violatef(DeadLetters, 0, "%s does not fail and has a dead letter at %s: %s", e, at(letters[0].Position), told(c.calls[e.ID]))
		case c.ExactlyOnce && len(letters) > 1:
			c.violatef(DeadLetters, 0, "%s has %d dead letters, at %s and %s: %s",
				e, len(letters), at(letters[0].Position), at(letters[1].Position), told(c.calls[e.ID]))
		}
	}
	for _, l := range c.Letters {
		e := c.byID[l.Event]
		if e == nil || l.Original != e.Position {
			c.violatef(DeadLetters, 0, "the dead letter at %s is of event %q at %s, which is not there", at(l.Position), l.Event, at(l.Original))
		}
	}
}

// outputs finds outputs that should not be. One that is missing is lost.
func (c *check) outputs() {
	causes := map[string]string{}
	for _, o := range c.Outputs {
		e, other := c.byID[o.Cause], causes[o.ID]
		switch {
		case e == nil:
			c.violatef(Outputs, 0, "the output %s at %s has no cause: event %q is not there", o.ID, at(o.Position), o.Cause)
		case e.Fails:
			c.violatef(Outputs, 0, "the output %s at %s is of %s, which always fails", o.ID, at(o.Position), e)
		case other != "" && other != o.Cause:
			c.violatef(Outputs, 0, "the output %s at %s is of events %s and %s", o.ID, at(o.Position), other, o.Cause)
		}
		causes[o.ID] = o.Cause
	}
	for i := range c.Events {
		c.once(&c.Events[i])
	}
	c.readers()
}

// once finds outputs of e that are there too often, or differ.
func (c *check) once(e *Event) {
	outputs := c.outputsOf[e.ID]
	if len(outputs) < 2 {
		return
	}
	if c.ExactlyOnce {
		c.violatef(Outputs, 0, "%s has %d outputs, at %s and %s: %s",
			e, len(outputs), at(outputs[0].Position), at(outputs[1].Position), told(c.calls[e.ID]))
	}
	if slices.ContainsFunc(outputs, func(o Output) bool { return o.ID != outputs[0].ID }) {
		c.violatef(Outputs, 0, "%s has outputs of different ids, the first %s at %s: %s",
			e, outputs[0].ID, at(outputs[0].Position), told(c.calls[e.ID]))
	}
}

// readers compares what was seen during the run with what is there in the end.
func (c *check) readers() {
	there := map[Position]Output{}
	for _, o := range c.Outputs {
		there[o.Position] = o
	}
	seen := map[Position]bool{}
	for _, o := range c.Seen {
		switch final, ok := there[o.Position]; {
		case seen[o.Position]:
			c.violatef(Outputs, 0, "a reader saw the output %s at %s twice", o.ID, at(o.Position))
		case !ok:
			c.violatef(Outputs, 0, "a reader saw the output %s of event %s at %s, which is not there in the end", o.ID, o.Cause, at(o.Position))
		case final != o:
			c.violatef(Outputs, 0, "a reader saw the output %s at %s, where %s is in the end", o.ID, at(o.Position), final.ID)
		}
		seen[o.Position] = true
	}
	for _, o := range c.Outputs {
		if !seen[o.Position] {
			c.violatef(Outputs, 0, "a reader passed by the output %s of event %s at %s", o.ID, o.Cause, at(o.Position))
		}
	}
}
