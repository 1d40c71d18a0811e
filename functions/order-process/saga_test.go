package orderprocess_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

var total = money.MustParse("99.00")

// services are what other services may tell of an order.
var services = map[string]func(id string) function.Payload{
	"charged": func(id string) function.Payload {
		return payment.Processed{OrderID: id, Amount: total, TransactionID: "txn-1", PaymentMethod: "card"}
	},
	"charged by hand": func(id string) function.Payload {
		return payment.Processed{OrderID: id, Amount: total, TransactionID: "txn-hand"}
	},
	"charged too little": func(id string) function.Payload {
		return payment.Processed{OrderID: id, Amount: money.MustParse("9.90"), TransactionID: "txn-1"}
	},
	"declined": func(id string) function.Payload { return payment.Failed{OrderID: id, Reason: "card declined"} },
	"money back": func(id string) function.Payload {
		return payment.Refunded{OrderID: id, Amount: total, TransactionID: "txn-2"}
	},
	"reserved": func(id string) function.Payload { return inventory.Reserved{OrderID: id, ReservationID: "res-1"} },
	"rejected": func(id string) function.Payload { return inventory.Rejected{OrderID: id, Reason: "prod-1"} },
	"released": func(id string) function.Payload { return inventory.Released{OrderID: id, ReservationID: "res-1"} },
}

// people are what people may ask for.
var people = map[string]func(o order.Order, at time.Time) ([]function.Payload, error){
	"create": func(o order.Order, at time.Time) ([]function.Payload, error) { return o.Create(creation("", at)) },
	"create by hand": func(o order.Order, at time.Time) ([]function.Payload, error) {
		return o.Create(creation(fact.PaymentManual, at))
	},
	"pay by hand": func(o order.Order, at time.Time) ([]function.Payload, error) {
		return o.Pay(order.Payment{Amount: total, TransactionID: "txn-hand", ByHand: true, At: at})
	},
	"ship": func(o order.Order, at time.Time) ([]function.Payload, error) {
		return o.Ship(order.Shipment{TrackingNumber: "1Z", Carrier: "UPS", At: at})
	},
	"deliver": func(o order.Order, at time.Time) ([]function.Payload, error) { return o.Deliver(at) },
	"cancel": func(o order.Order, at time.Time) ([]function.Payload, error) {
		return o.Cancel(order.Cancellation{Reason: "changed my mind", At: at})
	},
}

func creation(mode fact.PaymentMode, at time.Time) order.Creation {
	items := []fact.Item{{ProductID: "prod-1", Quantity: 1}}
	return order.Creation{CustomerID: "customer-1", Amount: &total, Items: items, Payment: mode, At: at}
}

// times are what may pass while nothing happens.
var times = map[string]time.Duration{"14 minutes": 14 * time.Minute, "15 minutes": 15 * time.Minute, "a day": 24 * time.Hour}

// do has something happen to an order. What a service tells "again" is told by another event.
func (s *shop) do(t fataler, step, id string) {
	t.Helper()
	first, again := strings.CutSuffix(step, " again")
	switch {
	case services[first] != nil:
		eventID := first + " " + id
		if again {
			eventID += " by another event"
		}
		s.tellAs(t, eventID, services[first](id))
	case people[step] != nil:
		s.ask(t, id, people[step])
	case times[step] > 0:
		s.clock.move(times[step])
		s.expire(t)
	default:
		t.Fatalf("nobody knows how to %s", step)
	}
}

const (
	notPending   = "an order is paid only while it is pending; the order is "
	notCancelled = "an order is refunded only when it is cancelled; the order is "
	notDue       = "a refund is all that is due, and in the order's currency; the order is "
	notPaid      = "an order is processed only when it is paid; the order is "
	notFailed    = "a failed payment ends an order only while it is pending; the order is "
	tooLate      = "an order is cancelled only before it is shipped, and once; the order is "
)

// sagas are all ways of an order, and all that may cross on them.
var sagas = map[string]struct {
	// steps are separated by commas. Where nothing else is told, order-process hears of each before the next.
	steps string
	// facts are what is stored in the end, waits what the order waits for then.
	facts, waits string
	// dropped are the events that change nothing, and why.
	dropped []string
}{
	"nothing is told":         {steps: "create", facts: "created", waits: "payment"},
	"to be paid by hand":      {steps: "create by hand", facts: "created", waits: "payment by hand"},
	"charged":                 {steps: "create, charged", facts: "created paid", waits: "reservation"},
	"charged and reserved":    {steps: "create, charged, reserved", facts: "created paid processing-started"},
	"to the end":              {steps: "create, charged, reserved, ship, deliver", facts: "created paid processing-started shipped delivered"},
	"declined":                {steps: "create, declined", facts: "created cancelled"},
	"out of stock":            {steps: "create, charged, rejected", facts: "created paid cancelled"},
	"out of stock, refunded":  {steps: "create, charged, rejected, money back", facts: "created paid cancelled refunded"},
	"cancelled, refunded":     {steps: "create, charged, reserved, cancel, released, money back", facts: "created paid processing-started cancelled refunded"},
	"paid by hand":            {steps: "create by hand, pay by hand, charged by hand, reserved", facts: "created paid processing-started"},
	"paid by hand, cancelled": {steps: "create by hand, pay by hand, charged by hand, cancel, money back", facts: "created paid cancelled refunded"},

	"told again": {
		steps: "create, charged, charged again, reserved, reserved again, charged again, cancel, money back, money back again, charged again",
		facts: "created paid processing-started cancelled refunded",
	},

	"cancelled, charged meanwhile": {
		steps: "create, cancel, charged, money back", facts: "created cancelled",
		dropped: []string{"payment.processed: " + notPending + "cancelled", "payment.refunded: " + notDue + "cancelled"},
	},
	"cancelled, declined meanwhile": {
		steps: "create, cancel, declined", facts: "created cancelled", dropped: []string{"payment.failed: " + notFailed + "cancelled"},
	},
	"cancelled, reserved meanwhile": {
		steps: "create, charged, cancel, reserved, released, money back", facts: "created paid cancelled refunded",
		dropped: []string{"inventory.reserved: " + notPaid + "cancelled"},
	},
	"cancelled, rejected meanwhile": {
		steps: "create, charged, cancel, rejected, money back", facts: "created paid cancelled refunded",
		dropped: []string{"inventory.rejected: " + tooLate + "cancelled"},
	},
	"refunded before it is cancelled": {
		steps: "create, charged, money back", facts: "created paid", waits: "reservation",
		dropped: []string{"payment.refunded: " + notCancelled + "paid"},
	},
	"shipped before stock answered": {
		steps: "create, charged, ship, reserved", facts: "created paid shipped",
		dropped: []string{"inventory.reserved: " + notPaid + "shipped"},
	},
	"shipped, though not in stock": {
		steps: "create, charged, ship, rejected", facts: "created paid shipped",
		dropped: []string{"inventory.rejected: " + tooLate + "shipped"},
	},
	"charged too little": {
		steps: "create, charged too little", facts: "created", waits: "payment",
		dropped: []string{"payment.processed: an order is paid in full, and in its currency; the order is pending"},
	},
	"charged and declined": {
		steps: "create, charged, declined", facts: "created paid", waits: "reservation",
		dropped: []string{"payment.failed: " + notFailed + "paid"},
	},
	"of somebody else": {
		steps: "charged, reserved, rejected, declined, money back, released",
		dropped: []string{
			"payment.processed: the order is none of this store", "inventory.reserved: the order is none of this store",
			"inventory.rejected: the order is none of this store", "payment.failed: the order is none of this store",
			"payment.refunded: the order is none of this store",
		},
	},

	"never charged":             {steps: "create, 15 minutes", facts: "created cancelled"},
	"never charged, until then": {steps: "create, 14 minutes", facts: "created", waits: "payment"},
	"never paid by hand":        {steps: "create by hand, a day", facts: "created cancelled"},
	"paid by hand, in the end":  {steps: "create by hand, 15 minutes, 15 minutes, pay by hand", facts: "created paid", waits: "reservation"},
	"never reserved":            {steps: "create, charged, 15 minutes", facts: "created paid cancelled"},
	"each step has its time":    {steps: "create, 14 minutes, charged, 14 minutes, reserved, a day", facts: "created paid processing-started"},
	"charged too late": {
		steps: "create, 15 minutes, charged, money back", facts: "created cancelled",
		dropped: []string{"payment.processed: " + notPending + "cancelled", "payment.refunded: " + notDue + "cancelled"},
	},
	"reserved too late": {
		steps: "create, charged, 15 minutes, reserved, released, money back", facts: "created paid cancelled refunded",
		dropped: []string{"inventory.reserved: " + notPaid + "cancelled"},
	},
}

// deliveries are the ways in which a topic may be delivered: at least once.
var deliveries = map[string]func(t fataler, s *shop, topic []event.Event, from int) (dropped []string){
	"once": func(t fataler, s *shop, topic []event.Event, from int) (dropped []string) {
		for _, e := range topic[from:] {
			if why := s.deliver(t, e); why != "" {
				dropped = append(dropped, word(e.Type())+": "+why)
			}
		}
		return dropped
	},
	"each twice": func(t fataler, s *shop, topic []event.Event, from int) []string {
		for _, e := range topic[from:] {
			s.deliver(t, e)
			s.deliver(t, e)
		}
		return nil
	},
	"all again with each": func(t fataler, s *shop, topic []event.Event, from int) []string {
		for end := from; end < len(topic); end++ {
			for _, e := range topic[:end+1] {
				s.deliver(t, e)
			}
		}
		return nil
	},
}

// Each way of an order ends in the same facts, whatever is delivered again.
func TestSagas(t *testing.T) {
	t.Parallel()
	for _, how := range slices.Sorted(maps.Keys(deliveries)) {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *shop) {
				for name, saga := range sagas {
					id := s.next()
					var dropped []string
					for step := range strings.SplitSeq(saga.steps, ", ") {
						s.do(t, step, id)
						s.relay(t)
						for handled := s.handled[id]; handled < len(s.topics[id]); handled = s.handled[id] { // answers are told, too
							s.handled[id] = len(s.topics[id])
							dropped = append(dropped, deliveries[how](t, s, s.topics[id][:s.handled[id]], handled)...)
							s.relay(t)
						}
					}
					if got := words(s.stored(t, id)); got != saga.facts {
						t.Errorf("%s: stored %s, want %s", name, got, saga.facts)
					}
					if diff := cmp.Diff(saga.dropped, dropped); how == "once" && diff != "" {
						t.Errorf("%s: %s", name, diff)
					}
					if got := s.waits(t, id); got != saga.waits {
						t.Errorf("%s: waits for %q, want %q", name, got, saga.waits)
					}
					s.chained(t, name, id)
				}
			})
		})
	}
}

// chained checks that what is stored of an order is published, belongs to one flow, and names what caused it.
func (s *shop) chained(t *testing.T, name, id string) {
	t.Helper()
	known := map[string]bool{"request": true}
	var published []event.Event
	for _, e := range s.topics[id] {
		known[e.ID()] = true
		if e.Source() == orderstore.Source {
			published = append(published, e)
		}
	}
	stored := s.stored(t, id)
	if words(stored) != words(published) {
		t.Errorf("%s: stored %s, published %s", name, words(stored), words(published))
	}
	for _, e := range stored {
		correlation, causation := e.Extensions()[function.CorrelationID], e.Extensions()[function.CausationID]
		if correlation != "flow-"+id || !known[fmt.Sprint(causation)] {
			t.Errorf("%s: %s is part of %v, caused by %v", name, e.Type(), correlation, causation)
		}
	}
}
