package orderstore_test

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Tests(m)) }

// databases give an empty database of each kind.
var databases = map[string]func(t testing.TB) database.Config{
	"sqlite": func(t testing.TB) database.Config {
		return database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(t.TempDir(), "orders.db"))}
	},
	"postgres": func(t testing.TB) database.Config {
		return database.Config{Kind: "postgres", URL: config.NewSecret(server.Database(t)), Connections: 8}
	},
}

// each runs a test with an empty store of each kind.
func each(t *testing.T, test func(*testing.T, *orderstore.Store)) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(databases)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, databases[kind](t)))
		})
	}
}

func open(t testing.TB, c database.Config) *orderstore.Store {
	t.Helper()
	store, err := orderstore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

var (
	noon    = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)
	payment = order.Payment{Amount: money.MustParse("99.00"), Method: "card", TransactionID: "txn-1", At: noon}
)

func create(o order.Order) ([]function.Payload, error) {
	return o.Create(order.Creation{
		CustomerID: "customer-789", Items: []fact.Item{{ProductID: "prod-4", Quantity: 2, Price: money.MustParse("49.50")}}, At: noon,
	})
}

func pay(o order.Order) ([]function.Payload, error) { return o.Pay(payment) }

func cancel(o order.Order) ([]function.Payload, error) {
	return o.Cancel(order.Cancellation{Reason: "changed my mind", At: noon})
}

func none(order.Order) ([]function.Payload, error) { return nil, nil }

// change makes a change that has to succeed.
func change(t *testing.T, s *orderstore.Store, id string, decide orderstore.Decide) order.Order {
	t.Helper()
	o, err := s.Change(t.Context(), id, orderstore.Cause{}, decide, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// stored returns the facts of an order.
func stored(t *testing.T, s *orderstore.Store, id string) []event.Event {
	t.Helper()
	recorded, err := s.Events().ReadStream(t.Context(), orderstore.Stream(id), 0, eventstore.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	events := make([]event.Event, len(recorded))
	for i, r := range recorded {
		events[i] = r.Event
	}
	return events
}

// published relays what waits, and returns it.
func published(t *testing.T, s *orderstore.Store) []event.Event {
	t.Helper()
	var all []event.Event
	for {
		n, err := s.Outbox().Relay(t.Context(), func(_ context.Context, topic string, events ...event.Event) []error {
			if topic != fact.Topic {
				t.Errorf("published to %s", topic)
			}
			all = append(all, events...)
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

// types are what events tell.
func types(events []event.Event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = e.Type()
	}
	return all
}

// ids tell events apart.
func ids(events []event.Event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = e.ID()
	}
	return all
}
