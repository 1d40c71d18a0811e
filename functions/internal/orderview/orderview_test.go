package orderview_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
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

// shop is an order service.
type shop struct {
	*orderstore.Store

	view    *projection.Projection
	queries *orderview.Queries
}

// failing is what tests and properties have in common.
type failing interface {
	Helper()
	Context() context.Context
	Error(args ...any)
	Fatal(args ...any)
}

// each runs a test in an empty shop of each kind.
func each(t *testing.T, test func(*testing.T, shop)) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(databases)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, databases[kind](t)))
		})
	}
}

func open(t *testing.T, c database.Config) shop {
	t.Helper()
	store, err := orderstore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return shop{store, project(t, store, nil), orderview.NewQueries(store.DB())}
}

func project(t *testing.T, store *orderstore.Store, o *projection.Options) *projection.Projection {
	t.Helper()
	view, err := projection.New(t.Context(), store.DB(), store.Events(), orderview.Projection(), o)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

var noon = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)

// creation is what a customer orders.
func creation(customer string) order.Creation {
	return order.Creation{
		CustomerID: customer, Currency: "EUR", At: noon,
		Items: []fact.Item{{ProductID: "prod-4", Quantity: 2, Price: money.MustParse("49.50")}, {ProductID: "prod-5", Quantity: 1}},
	}
}

// change changes an order at noon.
func (s shop) change(t failing, id string, decide orderstore.Decide) order.Order {
	t.Helper()
	o, err := s.Change(t.Context(), id, orderstore.Cause{At: noon}, decide, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (s shop) create(t failing, id, customer string) {
	t.Helper()
	s.change(t, id, func(o order.Order) ([]function.Payload, error) { return o.Create(creation(customer)) })
}

func (s shop) catchUp(t failing) {
	t.Helper()
	if err := s.view.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s shop) all(t failing, page, limit int) orderview.Page {
	t.Helper()
	got, err := s.queries.All(t.Context(), page, limit)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func ids(p orderview.Page) (all []string) {
	for _, r := range p.Orders {
		all = append(all, r.OrderID)
	}
	return all
}

func TestRowOfAnOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s shop) {
		at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
		total := money.MustParse("99.00")
		want := orderview.Row{
			OrderID: "o-1", CustomerID: "customer-1", Status: order.Pending, Version: 1, Amount: total, Currency: "EUR",
			Payment: fact.PaymentAutomatic, Items: 2, OrderDate: noon, ChangedAt: noon,
		}
		steps := []struct {
			decide orderstore.Decide
			want   func(*orderview.Row)
		}{
			{
				func(o order.Order) ([]function.Payload, error) { return o.Create(creation("customer-1")) },
				func(r *orderview.Row) { r.Version = 0 },
			},
			{
				func(o order.Order) ([]function.Payload, error) {
					return o.Pay(order.Payment{Amount: total, Currency: "EUR", Method: "card", TransactionID: "txn-1", At: at(1)})
				},
				func(r *orderview.Row) {
					r.Status, r.PaidAt, r.PaymentMethod, r.TransactionID = order.Paid, at(1), "card", "txn-1"
				},
			},
			{
				func(o order.Order) ([]function.Payload, error) {
					return o.StartProcessing(order.Reservation{ID: "res-1", At: at(2)})
				},
				func(r *orderview.Row) { r.Status, r.ProcessingStartedAt = order.Processing, at(2) },
			},
			{
				func(o order.Order) ([]function.Payload, error) {
					return o.Cancel(order.Cancellation{Reason: "sold \x00 out", At: at(3)})
				},
				func(r *orderview.Row) {
					r.Status, r.CancelledAt, r.Reason, r.RefundAmount = order.Cancelled, at(3), "sold \uFFFD out", total
				},
			},
			{
				func(o order.Order) ([]function.Payload, error) {
					return o.Refund(order.Refund{Amount: total, Currency: "EUR", TransactionID: "txn-2", At: at(4)})
				},
				func(r *orderview.Row) { r.Refunded, r.RefundedAt = total, at(4) },
			},
		}
		for _, step := range steps {
			s.change(t, "o-1", step.decide)
			s.catchUp(t)
			step.want(&want)
			want.Version++
			got := s.all(t, 1, 10)
			if diff := cmp.Diff(orderview.Page{Orders: []orderview.Row{want}, Total: 1, Pages: 1}, got); diff != "" {
				t.Fatalf("as %s (-want +got):\n%s", want.Status, diff)
			}
			if version, err := s.queries.Version(t.Context(), "o-1"); err != nil || version != want.Version {
				t.Errorf("version %d, %v", version, err)
			}
		}
		s.create(t, "o-2", "customer-1")
		s.change(t, "o-2", func(o order.Order) ([]function.Payload, error) {
			return o.Pay(order.Payment{Amount: total, Currency: "EUR", At: noon})
		})
		s.change(t, "o-2", func(o order.Order) ([]function.Payload, error) {
			return o.Ship(order.Shipment{TrackingNumber: "T-1", Carrier: "Swift Post", EstimatedDelivery: "soon", At: at(1)})
		})
		s.change(t, "o-2", func(o order.Order) ([]function.Payload, error) { return o.Deliver(at(2)) })
		s.catchUp(t)
		want = orderview.Row{
			OrderID: "o-2", CustomerID: "customer-1", Status: order.Delivered, Version: 4, Amount: total, Currency: "EUR",
			Payment: fact.PaymentAutomatic, Items: 2, OrderDate: noon, ChangedAt: noon, PaidAt: noon,
			ShippedAt: at(1), TrackingNumber: "T-1", Carrier: "Swift Post", EstimatedDelivery: "soon", DeliveredAt: at(2),
		}
		if diff := cmp.Diff(want, s.all(t, 1, 1).Orders[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s shop) {
		if got := s.all(t, 1, 10); got.Total != 0 || got.Pages != 0 || got.Orders == nil || len(got.Orders) != 0 {
			t.Errorf("an empty shop has %+v", got)
		}
		for i := range 7 { // all at noon
			s.create(t, fmt.Sprint("o-", i), fmt.Sprint("customer-", i%2))
		}
		s.catchUp(t)
		for _, tc := range []struct {
			customer           string
			page, limit        int
			want               []string
			wantTotal, wantAll int
		}{
			{"", 1, 3, []string{"o-6", "o-5", "o-4"}, 7, 3},
			{"", 2, 3, []string{"o-3", "o-2", "o-1"}, 7, 3},
			{"", 3, 3, []string{"o-0"}, 7, 3},
			{"", 4, 3, nil, 7, 3},
			{"", 1 << 62, 1000, nil, 7, 1},
			{"", 1, 7, []string{"o-6", "o-5", "o-4", "o-3", "o-2", "o-1", "o-0"}, 7, 1},
			{"customer-1", 1, 2, []string{"o-5", "o-3"}, 3, 2},
			{"customer-1", 2, 2, []string{"o-1"}, 3, 2},
			{"customer-0", 1, 100, []string{"o-6", "o-4", "o-2", "o-0"}, 4, 1},
			{"customer-2", 1, 2, nil, 0, 0},
			{"customer-1\x00", 1, 2, nil, 0, 0},
		} {
			got := s.all(t, tc.page, tc.limit)
			if tc.customer != "" {
				var err error
				if got, err = s.queries.ByCustomer(t.Context(), tc.customer, tc.page, tc.limit); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(ids(got), tc.want) || got.Total != tc.wantTotal || got.Pages != tc.wantAll {
				t.Errorf("page %d of %d for %q: %q of %d in %d", tc.page, tc.limit, tc.customer, ids(got), got.Total, got.Pages)
			}
		}
		for _, bad := range [][2]int{{0, 1}, {1, 0}, {-1, 1}, {1, orderview.MaxLimit + 1}} {
			if _, err := s.queries.All(t.Context(), bad[0], bad[1]); err == nil {
				t.Errorf("page %d of %d was read", bad[0], bad[1])
			}
		}
	})
}

// A customer whose id holds a character that PostgreSQL does not take is a customer like others.
func TestStrangeCustomers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s shop) {
		for i, customer := range []string{"a\x00b", "a'b", "{order_view}", "é\n\u202e", "%_"} {
			s.create(t, fmt.Sprint("o-", i), customer)
			s.catchUp(t)
			got, err := s.queries.ByCustomer(t.Context(), customer, 1, 10)
			if err != nil || !slices.Equal(ids(got), []string{fmt.Sprint("o-", i)}) {
				t.Errorf("customer %q: %q, %v", customer, ids(got), err)
			}
		}
	})
}

// What does not follow from the row of an order stops the view, and so does what no order can be.
func TestStops(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stream string
		facts  []function.Payload
	}{
		"another order":       {"order/o-1", []function.Payload{fact.Created{OrderID: "o-2", CustomerID: "c"}}},
		"never created":       {"order/o-1", []function.Payload{fact.Delivered{OrderID: "o-1", CustomerID: "c"}}},
		"created twice":       {"order/o-1", []function.Payload{fact.Created{OrderID: "o-1", CustomerID: "c"}, fact.Created{OrderID: "o-1", CustomerID: "c"}}},
		"does not fit":        {"order/o-1", []function.Payload{fact.Created{OrderID: "o-1"}}},
		"none of an order":    {"order/o-1", []function.Payload{strange{}}},
		"not of this service": {"elsewhere", []function.Payload{strange{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, databases["sqlite"](t))
			s.tell(t, tc.stream, tc.facts...)
			err := s.view.CatchUp(t.Context())
			if stops := tc.stream != "elsewhere"; stops != (err != nil) {
				t.Errorf("error %v", err)
			}
		})
	}
}

type strange struct{}

func (strange) EventType() string   { return "test.strange.v1" }
func (strange) AggregateID() string { return "o-1" }

// tell appends facts as they are, whatever the rules say.
func (s shop) tell(t failing, stream string, facts ...function.Payload) {
	t.Helper()
	for _, told := range facts {
		e, err := function.NewEvent(told)
		if err != nil {
			t.Fatal(err)
		}
		e.SetID(fmt.Sprint("fact ", counter.Add(1)))
		e.SetSource(orderstore.Source)
		e.SetTime(noon)
		write := eventstore.Write{Stream: stream, Expected: eventstore.Any}
		write.Events = append(write.Events, e)
		if _, err := s.Events().Append(t.Context(), write); err != nil {
			t.Fatal(err)
		}
	}
}
