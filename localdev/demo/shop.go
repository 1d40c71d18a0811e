// Package demo is a small shop whose customers order, pay and register: traffic for those who look at the system for the
// first time. Two orders of three are placed at the shop's API, where they are paid, shipped, delivered or cancelled. The
// others are put on Kafka by other programs, with CloudEvents in both modes and the tutorial's JSON envelope.
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

var (
	firstNames = []string{"Ada", "Grace", "Edsger", "Barbara", "Niklaus", "Margaret", "Tony", "Frances", "Dennis", "Radia"}
	lastNames  = []string{"Lovelace", "Hopper", "Dijkstra", "Liskov", "Wirth", "Hamilton", "Hoare", "Allen", "Ritchie", "Perlman"}
	products   = []string{"kettle", "lamp", "teapot", "chair", "notebook", "radio", "umbrella", "clock"} // that are not the shop's own
	carriers   = []string{"Northern Parcel", "Swift Post", "Harbour Freight"}
	methods    = []string{"card", "invoice", "bank transfer"}
)

// Shop makes steps. It is not safe for concurrent use.
type Shop struct {
	rand *rand.Rand
	// prefix tells the ids of this shop from those of another.
	prefix string
	made   int
	orders int
	users  int
	open   []*purchase
}

// Step is one thing that somebody does. Either Event or Request is set.
type Step struct {
	// Event is what a program publishes.
	Event *event.Event
	// Request is what is asked of the shop's API.
	Request *Request
}

// purchase is an order on its way.
type purchase struct {
	id, customer, correlation string
	number, tries             int
	// next makes what is due at due; nil when nothing more happens.
	next func(p *purchase, now time.Time) Step
	due  time.Time
}

// NewShop returns a shop. Shops with the same seed do the same, as long as they get the same answers.
func NewShop(seed uint64) *Shop {
	source := rand.New(rand.NewPCG(seed, seed))
	return &Shop{rand: source, prefix: strings.ToLower(fmt.Sprintf("%03x", source.IntN(1<<12)))}
}

// Next returns what is done at the time now. The first thing is an order.
func (s *Shop) Next(now time.Time) Step {
	s.made++
	if p := s.mostOverdue(now); p != nil {
		return p.next(p, now)
	}
	switch s.made % 7 {
	case 4:
		return s.publish(userService, s.uuid(), now, s.register(now))
	case 6:
		return s.publish(productService, s.uuid(), now, s.runOut(now))
	}
	return s.order(now)
}

// mostOverdue returns the order whose next step is due the longest, nil if none is.
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

func (s *Shop) order(now time.Time) Step {
	s.orders++
	p := &purchase{
		number:      s.orders,
		customer:    strings.ToLower(pick(s, firstNames) + "." + pick(s, lastNames)),
		correlation: s.uuid(),
	}
	s.open = append(s.open, p)
	if p.number%3 == 0 {
		return s.orderElsewhere(p, now)
	}
	return s.orderHere(p)
}

// then says what happens next with an order, in one to four seconds.
func (s *Shop) then(p *purchase, now time.Time, next func(*purchase, time.Time) Step) {
	p.next = next
	p.due = now.Add(time.Second + time.Duration(s.rand.Int64N(int64(3*time.Second))))
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

// publish is the step of a service that publishes a payload.
func (s *Shop) publish(source, correlation string, now time.Time, p function.Payload) Step {
	e, err := function.NewEvent(p)
	if err != nil {
		panic(fmt.Sprintf("demo: a %s that cannot be written: %v", p.EventType(), err))
	}
	e.SetID(s.uuid())
	e.SetSource(source)
	e.SetTime(now.UTC())
	e.SetExtension(function.CorrelationID, correlation)
	return Step{Event: &e}
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
