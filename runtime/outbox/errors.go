package outbox

import "fmt"

// InvalidError is the answer to events that no outbox takes. Nothing was stored, and trying again is of no use.
type InvalidError struct {
	// Topic is cut where it is long.
	Topic string
	// ID is the event's id, empty where the reason is not about an event.
	ID     string
	Reason string
}

func (e *InvalidError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("outbox, topic %q: %s", e.Topic, e.Reason)
	}
	return fmt.Sprintf("outbox, topic %q, event %q: %s", e.Topic, e.ID, e.Reason)
}
