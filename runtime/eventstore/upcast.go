package eventstore

import (
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Upcaster turns stored events of a type that is no longer written into the type that took its place, whenever they are
// read. What is stored stays as it is.
type Upcaster struct {
	// From and To are event types.
	From, To string
	// Upcast returns the event with type To. It keeps source and id, looks at nothing but the event, and may be called from
	// many goroutines at once. nil: only the type changes.
	Upcast func(event.Event) (event.Event, error)
}

// chain are upcasters by the type that they read.
type chain map[string]Upcaster

// newChain checks that each type has one way to go and that no way is a circle.
func newChain(upcasters []Upcaster) (chain, error) {
	c := chain{}
	for _, u := range upcasters {
		if u.From == "" || u.To == "" {
			return nil, fmt.Errorf("upcaster from %q to %q: both types must be named", u.From, u.To)
		}
		if _, twice := c[u.From]; twice {
			return nil, fmt.Errorf("two upcasters from %s: there must be one", u.From)
		}
		c[u.From] = u
	}
	for from := range c {
		steps := 0
		for u, ok := c[from]; ok; u, ok = c[u.To] {
			if steps++; steps > len(c) {
				return nil, fmt.Errorf("upcasters from %s go in a circle", from)
			}
		}
	}
	return c, nil
}

// upcast takes an event from type to type until nobody has a newer one.
func (c chain) upcast(e event.Event) (event.Event, error) {
	for u, ok := c[e.Type()]; ok; u, ok = c[u.To] {
		newer, err := u.apply(e)
		if err != nil {
			return event.Event{}, fmt.Errorf("upcast event %q from %s to %s: %w", cut(e.ID()), u.From, u.To, err)
		}
		e = newer
	}
	return e, nil
}

func (u Upcaster) apply(e event.Event) (event.Event, error) {
	if u.Upcast == nil {
		e.SetType(u.To)
		return e, nil
	}
	source, id := e.Source(), e.ID()
	newer, err := u.Upcast(e)
	switch {
	case err != nil:
		return event.Event{}, err
	case newer.Context == nil, newer.Type() != u.To:
		return event.Event{}, fmt.Errorf("it returned an event of another type")
	case newer.Source() != source, newer.ID() != id:
		return event.Event{}, fmt.Errorf("it changed source or id")
	}
	return newer, nil
}
