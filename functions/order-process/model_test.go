package orderprocess_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/inventory"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
)

// machine is an order, and slips of paper in place of the services that serve it.
type machine struct {
	*shop

	id string
	// heard is how much of the topic each service has handled.
	paymentHeard, stockHeard int
	payment                  paymentSlip
	stock                    stockSlip
}

// paymentSlip is what the payment service knows of the order.
type paymentSlip struct {
	// silent: the provider never answers. declines: it refuses the card.
	silent, declines bool
	asked, answered  bool
	transaction      string
	charged, wanted  bool
	refunded         bool
}

// stockSlip is what the inventory service knows of the order.
type stockSlip struct {
	silent, empty       bool
	asked, answered     bool
	reserved, cancelled bool
}

// An order that is served at random, heard of at random, and again, and asked for things at random, ends in peace.
func TestOrdersEndInPeace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		ends := map[order.Status]int{}
		rapid.Check(t, func(t *rapid.T) {
			m := &machine{shop: s, id: s.next()}
			m.payment.silent = rapid.IntRange(0, 4).Draw(t, "payment is silent") == 0
			m.payment.declines = rapid.IntRange(0, 4).Draw(t, "payment declines") == 0
			m.stock.silent = rapid.IntRange(0, 4).Draw(t, "stock is silent") == 0
			m.stock.empty = rapid.IntRange(0, 4).Draw(t, "stock is empty") == 0
			s.do(t, rapid.SampledFrom([]string{"create", "create", "create by hand"}).Draw(t, "begin"), m.id)
			t.Repeat(map[string]func(*rapid.T){
				"relay":            func(t *rapid.T) { s.relay(t) },
				"process hears":    func(t *rapid.T) { m.hear(t) },
				"process hears on": func(t *rapid.T) { m.hear(t) },
				"process hears again": func(t *rapid.T) {
					if handled := s.handled[m.id]; handled > 0 {
						s.deliver(t, s.topics[m.id][rapid.IntRange(0, handled-1).Draw(t, "event")])
					}
				},
				"payment hears":   func(*rapid.T) { m.paymentHears() },
				"payment answers": func(t *rapid.T) { m.paymentAnswers(t) },
				"stock hears":     func(*rapid.T) { m.stockHears() },
				"stock answers":   func(t *rapid.T) { m.stockAnswers(t) },
				"time passes": func(t *rapid.T) {
					s.clock.move(rapid.SampledFrom([]time.Duration{time.Second, time.Second, time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour}).Draw(t, "time"))
					s.expire(t)
				},
				"somebody asks": func(t *rapid.T) {
					s.do(t, rapid.SampledFrom([]string{"pay by hand", "pay by hand", "ship", "ship", "deliver", "deliver", "cancel"}).Draw(t, "for"), m.id)
				},
				"": func(t *rapid.T) { m.agrees(t) },
			})
			m.settle(t)
			m.agrees(t)
			m.isAtPeace(t)
			ends[s.order(t, m.id).Status()]++
		})
		t.Log(ends)
	})
}

// hear has order-process handle the next event.
func (m *machine) hear(t fataler) bool {
	t.Helper()
	if m.handled[m.id] == len(m.topics[m.id]) {
		return false
	}
	m.handled[m.id]++
	m.deliver(t, m.topics[m.id][m.handled[m.id]-1])
	return true
}

// next returns the next event for a service, or none.
func (m *machine) next(heard *int) (e event.Event, ok bool) {
	if *heard == len(m.topics[m.id]) {
		return event.Event{}, false
	}
	*heard++
	return m.topics[m.id][*heard-1], true
}

func (m *machine) paymentHears() bool {
	e, ok := m.next(&m.paymentHeard)
	switch e.Type() {
	case fact.CreatedType:
		m.payment.asked = m.created().Payment != fact.PaymentManual
	case fact.PaidType:
		// Money that somebody took by hand.
		if !m.payment.asked {
			m.payment.asked, m.payment.silent, m.payment.declines, m.payment.transaction = true, false, false, "txn-hand"
		}
	case fact.CancelledType:
		m.payment.wanted = true
	}
	return ok
}

// created returns what was ordered.
func (m *machine) created() (c fact.Created) {
	if err := m.topics[m.id][0].DataAs(&c); err != nil {
		panic(err)
	}
	return c
}

// paymentAnswers charges, or gives back.
func (m *machine) paymentAnswers(t fataler) bool {
	t.Helper()
	p := &m.payment
	switch {
	case p.asked && !p.answered && !p.silent && p.declines:
		p.answered = true
		m.tell(t, payment.Failed{OrderID: m.id, Reason: "card declined"})
	case p.asked && !p.answered && !p.silent:
		p.answered, p.charged = true, true
		if p.transaction == "" {
			p.transaction = "txn-1"
		}
		m.tell(t, payment.Processed{OrderID: m.id, Amount: total, TransactionID: p.transaction})
	case p.charged && p.wanted && !p.refunded:
		p.refunded = true
		m.tell(t, payment.Refunded{OrderID: m.id, Amount: total, TransactionID: "txn-2"})
	default:
		return false
	}
	return true
}

func (m *machine) stockHears() bool {
	e, ok := m.next(&m.stockHeard)
	switch e.Type() {
	case payment.ProcessedType:
		m.stock.asked = true
	case fact.CancelledType:
		m.stock.cancelled = true
	}
	return ok
}

// stockAnswers sets goods aside, or releases them.
func (m *machine) stockAnswers(t fataler) bool {
	t.Helper()
	s := &m.stock
	switch {
	case s.cancelled && s.reserved:
		s.reserved = false
		m.tell(t, inventory.Released{OrderID: m.id, ReservationID: "res-1"})
	case s.asked && !s.answered && !s.silent && !s.cancelled && s.empty:
		s.answered = true
		m.tell(t, inventory.Rejected{OrderID: m.id})
	case s.asked && !s.answered && !s.silent && !s.cancelled:
		s.answered, s.reserved = true, true
		m.tell(t, inventory.Reserved{OrderID: m.id, ReservationID: "res-1"})
	default:
		return false
	}
	return true
}

// settle lets everybody hear and answer everything, and all deadlines pass.
func (m *machine) settle(t fataler) {
	t.Helper()
	for range 3 { // each of two steps has its time
		for busy := true; busy; {
			m.relay(t)
			busy = m.hear(t)
			busy = m.paymentHears() || busy
			busy = m.paymentAnswers(t) || busy
			busy = m.stockHears() || busy
			busy = m.stockAnswers(t) || busy
		}
		for range 2 { // an order that nobody looked at gets its time once more
			m.clock.move(25 * time.Hour)
			m.expire(t)
		}
	}
}

// agrees checks that what is published of the order is a beginning of what is stored, and that both give the order.
func (m *machine) agrees(t fataler) {
	t.Helper()
	stored := m.stored(t, m.id)
	var published []event.Event
	o := order.New(m.id)
	for _, e := range m.topics[m.id] {
		if e.Source() != orderstore.Source {
			continue
		}
		published = append(published, e)
		told, err := order.Decode(e.Type(), e.Data())
		if err == nil {
			o, err = o.Apply(told)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(published) > len(stored) || words(published) != words(stored[:len(published)]) {
		t.Fatalf("published %s, stored %s", words(published), words(stored))
	}
	for i, e := range published {
		if e.ID() != stored[i].ID() {
			t.Fatalf("event %d is published with id %s, stored with %s", i, e.ID(), stored[i].ID())
		}
	}
	if now := m.order(t, m.id); now.Version == o.Version {
		if diff := cmp.Diff(now, o); diff != "" {
			t.Fatalf("the events tell another order: %s", diff)
		}
	}
	kinds := map[string]bool{}
	for _, e := range stored {
		if kinds[e.Type()] {
			t.Fatalf("stored twice: %s", words(stored))
		}
		kinds[e.Type()] = true
	}
}

// isAtPeace checks that nothing is stuck, and that money and goods are where they belong.
func (m *machine) isAtPeace(t fataler) {
	t.Helper()
	o := m.order(t, m.id)
	story := fmt.Sprintf("%s; heard %s", words(m.stored(t, m.id)), words(m.topics[m.id]))
	if !slices.Contains([]order.Status{order.Processing, order.Shipped, order.Delivered, order.Cancelled}, o.Status()) {
		t.Fatalf("stuck: %s", story)
	}
	if waits := m.waits(t, m.id); waits != "" {
		t.Fatalf("waits for %s: %s", waits, story)
	}
	if kept := m.payment.charged && !m.payment.refunded; kept == (o.Status() == order.Cancelled) {
		t.Fatalf("the shop has the money: %t, the order is %s: %s", kept, o.Status(), story)
	}
	if m.stock.reserved && o.Status() == order.Cancelled {
		t.Fatalf("goods are set aside for nobody: %s", story)
	}
	if !o.RefundDue().IsZero() {
		t.Fatalf("%s are due: %s", o.RefundDue(), story)
	}
}
