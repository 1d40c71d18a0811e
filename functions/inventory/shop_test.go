package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	// sarama counts with go-metrics, whose goroutine stays.
	goleak.VerifyTestMain(server.Tests(m), goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// kinds are the kinds of databases, and how to come by an empty one.
var kinds = map[string]func(testing.TB) database.Config{
	"sqlite": func(t testing.TB) database.Config {
		return database.Config{Kind: string(database.SQLite), URL: config.NewSecret(filepath.Join(t.TempDir(), "inventory.db"))}
	},
	"postgres": func(t testing.TB) database.Config {
		return database.Config{Kind: string(database.Postgres), URL: config.NewSecret(server.Database(t))}
	},
}

// each runs a test on each kind of database, with an empty one.
func each(t *testing.T, test func(t *testing.T, c database.Config)) {
	t.Helper()
	for kind, empty := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, empty(t))
		})
	}
}

// now is when the events of the tests happen.
var now = time.Date(2023, 12, 1, 10, 0, 1, 0, time.UTC)

// shop is a store, and the handler of the events about it.
type shop struct {
	*Store
	function.Handler
}

// opened opens a shop with so many pieces of each product, which is closed with the test.
func opened(t testing.TB, c database.Config, pieces int64) shop {
	t.Helper()
	store, err := Open(t.Context(), c, pieces)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	store.now = func() time.Time { return now }
	return shop{store, handler(store)}
}

// fataler is a test, or a property that is tested.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// deliver hands an event to the shop, which has to succeed.
func (s shop) deliver(t fataler, e event.Event) {
	t.Helper()
	if out, err := s.Handle(t.Context(), e); err != nil && !errors.Is(err, function.ErrPassedBy) || len(out) > 0 {
		t.Fatalf("%s of %s: %d events, %v", e.Type(), e.Subject(), len(out), err)
	}
}

// told empties the outbox and returns what it held, in short words, sorted: the outbox keeps the order of a key.
func (s shop) told(t fataler) []string {
	t.Helper()
	var words []string
	for _, p := range s.published(t) {
		words = append(words, p.words(t))
	}
	slices.Sort(words)
	return words
}

// publication is an event on its topic.
type publication struct {
	topic string
	event event.Event
}

// published empties the outbox.
func (s shop) published(t fataler) []publication {
	t.Helper()
	var all []publication
	for {
		n, err := s.outbox.Relay(t.Context(), func(_ context.Context, topic string, events ...event.Event) []error {
			for _, e := range events {
				all = append(all, publication{topic, e})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return all
		}
	}
}

// words says in short what was told. It is checked for what the runtime would refuse to publish.
func (p publication) words(t fataler) string {
	t.Helper()
	if err := cmp.Or(p.event.Validate(), schemas.Validate(p.event.Type(), p.event.Data())); err != nil {
		t.Fatal(err)
	}
	known, _ := schemas.Lookup(p.event.Type())
	if key := p.event.Extensions()[function.PartitionKey]; known.Topic != p.topic || key != p.event.Subject() {
		t.Fatalf("%s of %s on %s with the key %v", p.event.Type(), p.event.Subject(), p.topic, key)
	}
	switch p.event.Type() {
	case fact.ReservedType:
		r := decoded[fact.Reserved](t, p.event)
		return r.OrderID + " reserved " + pieces(r.Items)
	case fact.RejectedType:
		r := decoded[fact.Rejected](t, p.event)
		return r.OrderID + " rejected, missing " + pieces(r.Items) + ", " + r.Reason
	case fact.ReleasedType:
		r := decoded[fact.Released](t, p.event)
		return r.OrderID + " released " + pieces(r.Items) + ", " + r.Reason
	case product.OutOfStockType:
		return decoded[product.OutOfStock](t, p.event).ProductID + " out of stock"
	}
	t.Fatalf("nobody should tell of %s", p.event.Type())
	return ""
}

func pieces(items []fact.Item) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = fmt.Sprintf("%d %s", item.Quantity, item.ProductID)
	}
	return strings.Join(words, " and ")
}

func decoded[T any](t fataler, e event.Event) T {
	t.Helper()
	var payload T
	if err := json.Unmarshal(e.Data(), &payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

// stock returns what there is of a product.
func (s shop) stock(t fataler, productID string) Stock {
	t.Helper()
	stock := Stock{ProductID: productID}
	err := s.db.Read().QueryRowContext(t.Context(), "SELECT available, reserved FROM inventory_stock WHERE product_id = $1", productID).
		Scan(&stock.Available, &stock.Reserved)
	if err != nil {
		t.Fatal(err)
	}
	return stock
}

var events atomic.Int64

// received returns a payload as an event that came from another service.
func received(t fataler, from string, payload function.Payload) event.Event {
	t.Helper()
	e, err := function.NewEvent(payload)
	if err != nil {
		t.Fatal(err)
	}
	e.SetID(fmt.Sprintf("event-%d", events.Add(1)))
	e.SetSource(from)
	e.SetTime(now)
	return e
}

// created returns the order of items such as "2 prod-1".
func created(t fataler, orderID string, items ...string) event.Event {
	t.Helper()
	placed := order.Created{OrderID: orderID, CustomerID: "ann", Amount: money.MustParse("10")}
	for _, text := range items {
		var item order.Item
		if _, err := fmt.Sscanf(text, "%d %s", &item.Quantity, &item.ProductID); err != nil {
			t.Fatal(err)
		}
		placed.Items = append(placed.Items, item)
	}
	return received(t, "/order-service", placed)
}

func paid(t fataler, orderID string) event.Event {
	t.Helper()
	return received(t, "/payment-service", payment.Processed{OrderID: orderID, Amount: money.MustParse("10")})
}

func called(t fataler, orderID string) event.Event {
	t.Helper()
	return received(t, "/order-service", order.Cancelled{OrderID: orderID, CustomerID: "ann", Reason: "not wanted"})
}
