package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// machine takes a shop and a model of it through the same deliveries, redeliveries and faults.
type machine struct {
	shop   shop
	faults *faults
	// run makes names new in a database that is shared.
	run   string
	model model
	// delivered are the events that were handled, to be delivered again.
	delivered []event.Event
	// told is what was published, by key.
	told map[string][]string
}

// model is what a shop is meant to be, in the plainest words.
type model struct {
	states map[string]state
	asked  map[string]map[string]int64
	stock  map[string]Stock
	warned map[string]bool
	// told is what is to be published, by key.
	told map[string][]string
}

// handle does what an event asks for, and says whether the event is dropped.
func (m *model) handle(t fataler, e event.Event) (dropped bool) {
	id := e.Subject()
	switch was := m.states[id]; e.Type() {
	case order.CreatedType:
		if was != "" && was != prepaid {
			return false
		}
		m.states[id], m.asked[id] = open, map[string]int64{}
		for _, item := range decoded[order.Created](t, e).Items {
			m.asked[id][item.ProductID] += int64(item.Quantity)
		}
		if was == prepaid {
			m.pay(id)
		}
	case payment.ProcessedType:
		switch was {
		case open:
			m.pay(id)
		case "":
			m.states[id] = prepaid
			return true
		default: // it was paid before, or is cancelled
		}
	case order.CancelledType:
		m.cancel(id)
	}
	return false
}

func (m *model) pay(id string) {
	var missing, few, unknown []string
	for _, productID := range slices.Sorted(maps.Keys(m.asked[id])) {
		stock, known := m.stock[productID]
		if lacks := m.asked[id][productID] - stock.Available; lacks > 0 {
			missing = append(missing, fmt.Sprintf("%d %s", lacks, productID))
			if known {
				few = append(few, productID)
			} else {
				unknown = append(unknown, productID)
			}
		}
	}
	if missing == nil {
		m.reserve(id)
		return
	}
	m.states[id] = rejected
	var reasons []string
	if unknown != nil {
		reasons = append(reasons, "no such product: "+list(unknown))
	}
	if few != nil {
		reasons = append(reasons, "too few of "+list(few))
	}
	m.tellf(id, "%s rejected, missing %s, %s", id, strings.Join(missing, " and "), strings.Join(reasons, "; "))
	for _, productID := range few {
		if !m.warned[productID] {
			m.warned[productID] = true
			m.tellf(productID, "%s out of stock", productID)
		}
	}
}

func (m *model) reserve(id string) {
	m.states[id] = reserved
	m.tellf(id, "%s reserved %s", id, m.pieces(id))
	for productID, quantity := range m.asked[id] {
		m.move(productID, quantity)
		if m.stock[productID].Available == 0 {
			m.warned[productID] = true
			m.tellf(productID, "%s out of stock", productID)
		}
	}
}

func (m *model) cancel(id string) {
	switch m.states[id] {
	case "", open, prepaid:
		m.states[id] = cancelled
	case reserved:
		m.states[id] = released
		m.tellf(id, "%s released %s, not wanted", id, m.pieces(id))
		for productID, quantity := range m.asked[id] {
			m.move(productID, -quantity)
		}
	default: // nothing is reserved, nor will be
	}
}

func (m *model) move(productID string, quantity int64) {
	stock := m.stock[productID]
	m.stock[productID] = Stock{productID, stock.Available - quantity, stock.Reserved + quantity}
}

func (m *model) pieces(id string) string {
	var words []string
	for _, productID := range slices.Sorted(maps.Keys(m.asked[id])) {
		words = append(words, fmt.Sprintf("%d %s", m.asked[id][productID], productID))
	}
	return strings.Join(words, " and ")
}

func (m *model) tellf(key, format string, args ...any) {
	m.told[key] = append(m.told[key], fmt.Sprintf(format, args...))
}

func (m *machine) order(t *rapid.T) string {
	return fmt.Sprintf("%s-order-%d", m.run, rapid.IntRange(0, 9).Draw(t, "order"))
}

func (m *machine) product(t *rapid.T) string {
	return fmt.Sprintf("%s-%d", m.run, rapid.IntRange(0, 3).Draw(t, "product"))
}

// Create places an order.
func (m *machine) Create(t *rapid.T) { m.create(t, m.order(t)) }

// Buy places an order and pays it.
func (m *machine) Buy(t *rapid.T) {
	id := m.order(t)
	m.create(t, id)
	m.handle(t, paid(t, id))
}

func (m *machine) create(t *rapid.T, orderID string) {
	items := make([]string, rapid.IntRange(0, 4).Draw(t, "items"))
	for i := range items {
		items[i] = fmt.Sprintf("%d %s", rapid.IntRange(1, 3).Draw(t, "pieces"), m.product(t))
	}
	m.handle(t, created(t, orderID, items...))
}

// Pay pays an order, which may not have been placed.
func (m *machine) Pay(t *rapid.T) { m.handle(t, paid(t, m.order(t))) }

// Cancel calls an order off.
func (m *machine) Cancel(t *rapid.T) { m.handle(t, called(t, m.order(t))) }

// Again delivers an event again.
func (m *machine) Again(t *rapid.T) {
	if len(m.delivered) == 0 {
		t.Skip("nothing was delivered")
	}
	m.handle(t, rapid.SampledFrom(m.delivered).Draw(t, "again"))
}

// Restock adds pieces of a product.
func (m *machine) Restock(t *rapid.T) {
	productID, pieces := m.product(t), rapid.Int64Range(1, 6).Draw(t, "restocked")
	got, err := m.shop.Restock(t.Context(), productID, pieces)
	stock := m.model.stock[productID]
	want := Stock{productID, stock.Available + pieces, stock.Reserved}
	if err != nil || got != want {
		t.Fatalf("restocked %+v, %v, want %+v", got, err, want)
	}
	m.model.stock[productID], m.model.warned[productID] = want, false
}

// Relay publishes what waits.
func (m *machine) Relay(t *rapid.T) {
	for _, p := range m.shop.published(t) {
		m.told[p.event.Subject()] = append(m.told[p.event.Subject()], p.words(t))
	}
	if diff := cmp.Diff(m.model.told, m.told); diff != "" {
		t.Fatalf("told otherwise: %s", diff)
	}
}

// handle delivers an event, now and then while a table is broken. Then it may fail without a trace.
func (m *machine) handle(t *rapid.T, e event.Event) {
	var err error
	broken := rapid.SampledFrom(append([]string{"", "", ""}, m.faults.tables...)).Draw(t, "broken")
	if broken == "" {
		_, err = m.shop.Handle(t.Context(), e)
	} else {
		m.faults.with(t, broken, func() { _, err = m.shop.Handle(t.Context(), e) })
		if function.VerdictOf(err) == function.Broken {
			return
		}
	}
	dropped := m.model.handle(t, e)
	want := function.Done
	if dropped {
		want = function.Dropped
	}
	if got := function.VerdictOf(err); got != want {
		t.Fatalf("%s of %s: %s, %v, want %s", e.Type(), e.Subject(), got, err, want)
	}
	m.delivered = append(m.delivered, e)
}

// Check compares the tables with the model.
func (m *machine) Check(t *rapid.T) {
	for productID, want := range m.model.stock {
		if got := m.shop.stock(t, productID); got != want {
			t.Fatalf("stock is %+v, want %+v", got, want)
		}
	}
	for id, want := range m.model.states {
		var got state
		err := m.shop.db.Read().QueryRowContext(t.Context(), "SELECT state FROM inventory_orders WHERE order_id = $1", id).Scan(&got)
		if err != nil || got != want {
			t.Fatalf("%s is %s, %v, want %s", id, got, err, want)
		}
	}
}

// Whatever is delivered, delivered again and disturbed, in whichever order: the stock adds up, and the outbox tells the
// same story as the tables.
func TestTheShopFollowsTheModel(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		f := newFaults(t, s)
		rapid.Check(t, func(t *rapid.T) {
			m := &machine{
				shop: s, faults: f, run: uuid.NewString(), told: map[string][]string{},
				model: model{
					states: map[string]state{}, asked: map[string]map[string]int64{},
					stock: map[string]Stock{}, warned: map[string]bool{}, told: map[string][]string{},
				},
			}
			s.published(t) // what a run left that was given up
			t.Repeat(map[string]func(*rapid.T){
				"Create": m.Create, "Buy": m.Buy, "Pay": m.Pay, "Cancel": m.Cancel, "Again": m.Again, "Restock": m.Restock, "Relay": m.Relay, "": m.Check,
			})
			m.Relay(t)
		})
	})
}
