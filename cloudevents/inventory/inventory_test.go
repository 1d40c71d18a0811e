package inventory_test

import (
	"testing"

	"github.com/millrace/millrace/cloudevents/inventory"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	type payload interface {
		EventType() string
		AggregateID() string
	}
	for want, p := range map[string]payload{
		"dev.millrace.inventory.reserved.v1": inventory.Reserved{OrderID: "o-1", ReservationID: "r-1"},
		"dev.millrace.inventory.rejected.v1": inventory.Rejected{OrderID: "o-1"},
		"dev.millrace.inventory.released.v1": inventory.Released{OrderID: "o-1", ReservationID: "r-1"},
	} {
		if p.EventType() != want || p.AggregateID() != "o-1" {
			t.Errorf("%T has type %s and aggregate %s", p, p.EventType(), p.AggregateID())
		}
	}
}
