package order_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

// model is an order as one would keep it on a slip of paper.
type model struct {
	word   string
	byHand bool
	// cents is what the order costs, due what the customer is to get back.
	cents, due int64
	version    int64
}

// machine runs random commands on an order and on the model of it, and keeps what a store would.
type machine struct {
	model  model
	order  order.Order
	clock  time.Time
	stored []stored
}

// stored is a fact as a store keeps it.
type stored struct {
	eventType string
	data      []byte
}

func TestOrderLivesLikeItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{order: order.New("12345"), clock: noon}
		t.Repeat(map[string]func(*rapid.T){
			"":                 m.compare,
			"create":           m.create,
			"pay":              m.pay,
			"start processing": m.startProcessing,
			"ship":             m.ship,
			"deliver":          m.deliver,
			"cancel":           m.cancel,
			"refund":           m.refund,
		})
	})
}

func (m *machine) create(t *rapid.T) {
	mode := rapid.SampledFrom([]fact.PaymentMode{"", fact.PaymentAutomatic, fact.PaymentManual}).Draw(t, "payment")
	c := order.Creation{CustomerID: "customer-1", Currency: "EUR", Payment: mode, At: m.tick(t)}
	// An address in one line leaves the other fields out when it is stored.
	c.ShippingAddress = fact.Address{Line: rapid.String().Draw(t, "line"), City: rapid.String().Draw(t, "city")}
	cents := int64(0)
	for range rapid.IntRange(1, 3).Draw(t, "items") {
		quantity, each := rapid.IntRange(1, 9).Draw(t, "quantity"), rapid.Int64Range(0, 9999).Draw(t, "price")
		c.Items = append(c.Items, fact.Item{ProductID: "prod-1", Quantity: quantity, Price: inCents(t, each)})
		cents += int64(quantity) * each
	}
	facts, err := m.order.Create(c)
	if m.happens(t, facts, err, m.model.word == "") {
		m.model.word, m.model.cents, m.model.byHand = "pending", cents, mode == fact.PaymentManual
	}
}

func (m *machine) pay(t *rapid.T) {
	missing := rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "missing")
	byHand := rapid.Bool().Draw(t, "by hand")
	facts, err := m.order.Pay(order.Payment{Amount: inCents(t, m.model.cents-missing), Currency: "EUR", ByHand: byHand, At: m.tick(t)})
	if m.happens(t, facts, err, m.model.word == "pending" && missing == 0 && (m.model.byHand || !byHand)) {
		m.model.word = "paid"
	}
}

func (m *machine) startProcessing(t *rapid.T) {
	facts, err := m.order.StartProcessing(order.Reservation{ID: "res-1", At: m.tick(t)})
	if m.happens(t, facts, err, m.model.word == "paid") {
		m.model.word = "processing"
	}
}

func (m *machine) ship(t *rapid.T) {
	facts, err := m.order.Ship(order.Shipment{At: m.tick(t)})
	if m.happens(t, facts, err, m.model.word == "paid" || m.model.word == "processing") {
		m.model.word = "shipped"
	}
}

func (m *machine) deliver(t *rapid.T) {
	facts, err := m.order.Deliver(m.tick(t))
	if m.happens(t, facts, err, m.model.word == "shipped") {
		m.model.word = "delivered"
	}
}

func (m *machine) cancel(t *rapid.T) {
	facts, err := m.order.Cancel(order.Cancellation{Reason: rapid.String().Draw(t, "reason"), At: m.tick(t)})
	paid := m.model.word == "paid" || m.model.word == "processing"
	if m.happens(t, facts, err, paid || m.model.word == "pending") {
		m.model.word = "cancelled"
		if paid {
			m.model.due = m.model.cents
		}
	}
}

func (m *machine) refund(t *rapid.T) {
	more := rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "more")
	facts, err := m.order.Refund(order.Refund{Amount: inCents(t, m.model.due+more), Currency: "EUR", At: m.tick(t)})
	if m.happens(t, facts, err, m.model.word == "cancelled" && m.model.due > 0 && more == 0) {
		m.model.due = 0
	}
}

// happens checks that a command was allowed where the model says so, and stores and applies what it told.
func (m *machine) happens(t *rapid.T, facts []function.Payload, err error, allowed bool) bool {
	if (err == nil) != allowed {
		t.Fatalf("%q, allowed: %v, got %v", m.model.word, allowed, err)
	}
	if err != nil {
		return false
	}
	for _, told := range facts {
		data, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		m.stored = append(m.stored, stored{told.EventType(), data})
	}
	if m.order, err = m.order.Apply(facts...); err != nil {
		t.Fatal(err)
	}
	m.model.version += int64(len(facts))
	return true
}

// compare checks that the order is as the model says, and that what is stored gives the same order, with and without a
// snapshot on the way.
func (m *machine) compare(t *rapid.T) {
	o := m.order
	if string(o.Status()) != m.model.word || o.Version != m.model.version || !o.RefundDue().Equal(inCents(t, m.model.due)) {
		t.Fatalf("is %q at version %d with %s due, want %+v", o.Status(), o.Version, o.RefundDue(), m.model)
	}
	whole := m.read(t, order.New("12345"))
	if diff := cmp.Diff(m.order, whole); diff != "" {
		t.Fatalf("the facts tell another order:\n%s", diff)
	}
	if len(m.stored) == 0 {
		return
	}
	cut := rapid.IntRange(1, len(m.stored)).Draw(t, "snapshot after")
	early := (&machine{stored: m.stored[:cut]}).read(t, order.New("12345"))
	data, err := early.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := order.Restore("12345", data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.order, m.read(t, restored)); diff != "" {
		t.Fatalf("the snapshot after %d facts tells another order:\n%s", cut, diff)
	}
}

// read applies what is stored behind the version of o.
func (m *machine) read(t *rapid.T, o order.Order) order.Order {
	for _, s := range m.stored[o.Version:] {
		told, err := order.Decode(s.eventType, s.data)
		if err != nil {
			t.Fatal(err)
		}
		if o, err = o.Apply(told); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// tick returns a later time, in any zone.
func (m *machine) tick(t *rapid.T) time.Time {
	m.clock = m.clock.Add(time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "later")))
	return m.clock.In(time.FixedZone("", 900*rapid.IntRange(-48, 56).Draw(t, "zone")))
}

func inCents(t *rapid.T, cents int64) money.Amount {
	a, err := money.New(cents, 2)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
