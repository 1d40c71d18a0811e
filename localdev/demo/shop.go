// Package demo is a small shop whose customers order, pay and register: traffic for those who look at the system for the
// first time. Its events are as programs of all kinds would send them: as CloudEvents in both modes, and in the tutorial's
// JSON envelope.
//
// It imports the packages below cloudevents/, runtime/function and localdev/cluster.
package demo

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/cloudevents/user"
	"github.com/millrace/millrace/runtime/function"
)

// The sources of the shop's events.
const (
	orderService   = "/order-service"
	userService    = "/user-service"
	productService = "/product-service"
)

// One order in cancelEvery is cancelled instead of paid.
const cancelEvery = 5

var (
	firstNames = []string{"Ada", "Grace", "Edsger", "Barbara", "Niklaus", "Margaret", "Tony", "Frances", "Dennis", "Radia"}
	lastNames  = []string{"Lovelace", "Hopper", "Dijkstra", "Liskov", "Wirth", "Hamilton", "Hoare", "Allen", "Ritchie", "Perlman"}
	products   = []string{"kettle", "lamp", "teapot", "chair", "notebook", "radio", "umbrella", "clock"}
	carriers   = []string{"Northern Parcel", "Swift Post", "Harbour Freight"}
	methods    = []string{"card", "invoice", "bank transfer"}
)

// Shop makes events. It is not safe for concurrent use.
type Shop struct {
	rand *rand.Rand
	// prefix tells the ids of this shop from those of another.
	prefix string
	made   int
	orders int
	users  int
	open   []*purchase
}

// purchase is an order on its way.
type purchase struct {
	id, customer, correlation string
	number                    int
	amount                    money.Amount
	placed                    order.Created
	// next makes the event that is due at due; nil when nothing more happens.
	next func(p *purchase, now time.Time) function.Payload
	due  time.Time
}

// NewShop returns a shop. Shops with the same seed do the same.
func NewShop(seed uint64) *Shop {
	source := rand.New(rand.NewPCG(seed, seed))
	return &Shop{rand: source, prefix: strings.ToLower(fmt.Sprintf("%03x", source.IntN(1<<12)))}
}

// Next returns what happens in the shop at the time now. The first thing is an order.
func (s *Shop) Next(now time.Time) event.Event {
	s.made++
	if p := s.mostOverdue(now); p != nil {
		return s.event(orderService, p.correlation, now, p.next(p, now))
	}
	switch s.made % 7 {
	case 4:
		return s.event(userService, s.uuid(), now, s.register(now))
	case 6:
		return s.event(productService, s.uuid(), now, s.runOut(now))
	}
	p := s.order(now)
	return s.event(orderService, p.correlation, now, p.placed)
}

// mostOverdue returns the order whose next event is due the longest, nil if none is.
func (s *Shop) mostOverdue(now time.Time) *purchase {
	s.open = slices.DeleteFunc(s.open, func(p *purchase) bool { return p.next == nil })
	var first *purchase
	for _, p := range s.open {
		if !p.due.After(now) && (first == nil || p.due.Before(first.due)) {
			first = p
		}
	}
	return first
}

func (s *Shop) order(now time.Time) *purchase {
	s.orders++
	quantity, price := 1+s.rand.IntN(3), 5+s.rand.IntN(95)
	p := &purchase{
		id:          fmt.Sprintf("order-%s-%d", s.prefix, s.orders),
		number:      s.orders,
		customer:    strings.ToLower(pick(s, firstNames) + "." + pick(s, lastNames)),
		correlation: s.uuid(),
		amount:      money.MustParse(fmt.Sprintf("%d.50", quantity*price)),
		next:        s.settle,
		due:         s.soon(now),
	}
	p.placed = order.Created{
		OrderID: p.id, CustomerID: p.customer, Amount: p.amount, Currency: "EUR", OrderDate: now,
		Items:           []order.Item{{ProductID: pick(s, products), Quantity: quantity, Price: money.MustParse(fmt.Sprintf("%d.50", price))}},
		ShippingAddress: order.Address{Street: "1 Mill Lane", City: "Rivertown", Country: "NL"},
	}
	s.open = append(s.open, p)
	return p
}

// settle pays an order, or cancels it.
func (s *Shop) settle(p *purchase, now time.Time) function.Payload {
	if p.number%cancelEvery == 0 {
		p.next = nil
		return order.Cancelled{
			OrderID: p.id, CustomerID: p.customer, Reason: "changed their mind", RefundAmount: p.amount, Currency: "EUR", CancelledAt: now,
		}
	}
	p.next, p.due = s.ship, s.soon(now)
	return order.Paid{
		OrderID: p.id, CustomerID: p.customer, Amount: p.amount, Currency: "EUR", PaymentMethod: pick(s, methods),
		TransactionID: fmt.Sprintf("tx-%s-%d", s.prefix, p.number), PaidAt: now,
	}
}

func (s *Shop) ship(p *purchase, now time.Time) function.Payload {
	p.next = nil
	return order.Shipped{
		OrderID: p.id, CustomerID: p.customer, TrackingNumber: fmt.Sprintf("NP%08d", s.rand.IntN(1e8)), Carrier: pick(s, carriers),
		EstimatedDelivery: now.AddDate(0, 0, 2).Format(time.DateOnly), ShippedAt: now,
	}
}

func (s *Shop) register(now time.Time) user.Registered {
	s.users++
	first, last := pick(s, firstNames), pick(s, lastNames)
	return user.Registered{
		UserID: fmt.Sprintf("user-%s-%d", s.prefix, s.users), FirstName: first, LastName: last, RegisteredAt: now,
		Email: strings.ToLower(first+"."+last) + "@example.com",
	}
}

func (s *Shop) runOut(now time.Time) product.OutOfStock {
	name := pick(s, products)
	return product.OutOfStock{ProductID: name, ProductName: name, OutOfStockAt: now}
}

// event completes a payload as the service that publishes it does.
func (s *Shop) event(source, correlation string, now time.Time, p function.Payload) event.Event {
	e, err := function.NewEvent(p)
	if err != nil {
		panic(fmt.Sprintf("demo: a %s that cannot be written: %v", p.EventType(), err))
	}
	e.SetID(s.uuid())
	e.SetSource(source)
	e.SetTime(now.UTC())
	e.SetExtension(function.CorrelationID, correlation)
	return e
}

// soon is a moment between one and four seconds after now.
func (s *Shop) soon(now time.Time) time.Time {
	return now.Add(time.Second + time.Duration(s.rand.Int64N(int64(3*time.Second))))
}

// uuid returns a random UUID (version 4) of the shop's own randomness.
func (s *Shop) uuid() string {
	var id uuid.UUID
	binary.LittleEndian.PutUint64(id[:8], s.rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], s.rand.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

func pick(s *Shop, from []string) string { return from[s.rand.IntN(len(from))] }
