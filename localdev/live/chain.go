package live

import (
	"slices"
	"time"
)

// The bounds of what is remembered.
const (
	maxEvents  = 16384
	maxWaiting = 4096
	// waitFor is how long a delivery waits for the outcomes that tell what it belongs to. They come when functions have
	// published their answers.
	waitFor = time.Second
)

// origin is the event with which a chain of causes and effects began.
type origin struct {
	at time.Time
	// eventType is its type.
	eventType string
}

// chains remembers where the latest events come from, and the deliveries of which that is not known yet.
type chains struct {
	origins map[string]origin // by the id of an event
	ids     []string          // of the last maxEvents events, a ring
	oldest  int
	waiting []delivery
}

// delivery is a mail or a webhook, with the outcome of the event that asked for it as soon as that has come.
type delivery struct {
	line
	of *line
}

func newChains() *chains { return &chains{origins: map[string]origin{}} }

// join returns the lines to show now that l has come: l, and the deliveries that waited for it; or nothing when l is a
// delivery and has to wait itself.
func (c *chains) join(l line) []line {
	if l.Kind != kindOutcome {
		if len(c.waiting) == maxWaiting {
			return []line{l}
		}
		c.waiting = append(c.waiting, delivery{line: l})
		return nil
	}
	c.remember(&l)
	shown := []line{l}
	for i := range c.waiting {
		if d := &c.waiting[i]; d.Event == l.Event {
			d.of = &l
		}
	}
	return c.release(shown, func(d *delivery) bool {
		return d.of != nil && (d.of.causation == "" || c.knows(d.of.causation))
	})
}

// overdue returns the deliveries that have waited too long.
func (c *chains) overdue(now time.Time) []line {
	return c.release(nil, func(d *delivery) bool { return now.Sub(d.Time) > waitFor })
}

// release appends the deliveries that are ready, completed by what is known of them.
func (c *chains) release(shown []line, ready func(*delivery) bool) []line {
	c.waiting = slices.DeleteFunc(c.waiting, func(d delivery) bool {
		if !ready(&d) {
			return false
		}
		if d.of != nil {
			from := c.origin(d.of)
			d.Correlation, d.Function, d.Since = d.of.Correlation, d.of.Function, from.eventType
			d.Took = new(max(0, inMilliseconds(d.Time.Sub(from.at))))
		}
		shown = append(shown, d.line)
		return true
	})
	return shown
}

func (c *chains) knows(event string) bool {
	_, ok := c.origins[event]
	return ok
}

// origin is where the chain of l's event began, as far as is known.
func (c *chains) origin(l *line) origin {
	if from, ok := c.origins[l.causation]; ok {
		return from
	}
	return origin{at: l.published, eventType: l.Type}
}

// remember notes where the event of l comes from, in the place of the oldest event if there are too many.
func (c *chains) remember(l *line) {
	if l.Event == "" || c.knows(l.Event) {
		return
	}
	if len(c.ids) < maxEvents {
		c.ids = append(c.ids, l.Event)
	} else {
		delete(c.origins, c.ids[c.oldest])
		c.ids[c.oldest] = l.Event
		c.oldest = (c.oldest + 1) % maxEvents
	}
	c.origins[l.Event] = c.origin(l)
}
