package orderview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
)

// counter makes ids that no test shares.
var counter atomic.Int64

// Whatever is told of orders, in whatever order, by the rules or not: the view is what the facts of each stream make.
func TestViewIsTheFoldOfTheStreams(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s shop) {
		rapid.Check(t, func(t *rapid.T) {
			customer := fmt.Sprint("customer-", counter.Add(1))
			orders := make([]order.Order, rapid.IntRange(1, 4).Draw(t, "orders"))
			for i := range orders {
				orders[i] = order.New(fmt.Sprint("o-", counter.Add(1)))
				s.happen(t, &orders[i], createdFact(t, orders[i].ID, customer))
			}
			for range rapid.IntRange(0, 15).Draw(t, "facts") {
				o := &orders[rapid.IntRange(0, len(orders)-1).Draw(t, "order")]
				s.happen(t, o, laterFact(t, o.ID))
				if rapid.IntRange(0, 3).Draw(t, "catch up") == 0 {
					s.catchUp(t)
				}
			}
			s.catchUp(t)
			want := orderview.Page{Total: len(orders), Pages: 1}
			for _, o := range slices.Backward(orders) {
				want.Orders = append(want.Orders, rowOf(o))
			}
			got, err := s.queries.ByCustomer(t.Context(), customer, 1, 10)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
		})
	})
}

// happen stores a fact and applies it to the order, as one does who reads it from the stream.
func (s shop) happen(t *rapid.T, o *order.Order, told function.Payload) {
	s.tell(t, orderstore.Stream(o.ID), told)
	var err error
	if *o, err = o.Apply(told); err != nil {
		t.Fatal(err)
	}
}

func createdFact(t *rapid.T, id, customer string) function.Payload {
	return fact.Created{
		OrderID: id, CustomerID: customer, Amount: amount(t), Currency: rapid.SampledFrom([]money.Currency{"", "eur", "JPY"}).Draw(t, "currency"),
		Items: make([]fact.Item, 0), OrderDate: when(t),
		Payment: rapid.SampledFrom([]fact.PaymentMode{"", fact.PaymentAutomatic, fact.PaymentManual}).Draw(t, "payment"),
	}
}

func laterFact(t *rapid.T, id string) function.Payload {
	const customer = "somebody"
	word := rapid.StringMatching(`[a-zé' ]{0,8}`)
	switch rapid.IntRange(1, 6).Draw(t, "fact") {
	case 1:
		return fact.Paid{OrderID: id, CustomerID: customer, PaymentMethod: word.Draw(t, "method"), TransactionID: word.Draw(t, "transaction"), PaidAt: when(t)}
	case 2:
		return fact.ProcessingStarted{OrderID: id, CustomerID: customer, StartedAt: when(t)}
	case 3:
		return fact.Shipped{
			OrderID: id, CustomerID: customer, TrackingNumber: word.Draw(t, "tracking"), Carrier: word.Draw(t, "carrier"),
			EstimatedDelivery: word.Draw(t, "estimate"), ShippedAt: when(t),
		}
	case 4:
		return fact.Delivered{OrderID: id, CustomerID: customer, DeliveredAt: when(t)}
	case 5:
		return fact.Cancelled{OrderID: id, CustomerID: customer, Reason: word.Draw(t, "reason"), RefundAmount: amount(t), CancelledAt: when(t)}
	default:
		return fact.Refunded{OrderID: id, CustomerID: customer, Amount: amount(t), RefundedAt: when(t)}
	}
}

func amount(t *rapid.T) money.Amount {
	a, err := money.New(rapid.Int64Range(0, 1_000_000_000_000).Draw(t, "units"), rapid.IntRange(0, 4).Draw(t, "scale"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// when draws a time, to the microsecond, that may be missing.
func when(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "no time") {
		return time.Time{}
	}
	return time.UnixMicro(rapid.Int64Range(-1<<40, 1<<50).Draw(t, "time")).UTC()
}

// rowOf is what the view has to show of an order.
func rowOf(o order.Order) orderview.Row {
	r := orderview.Row{
		OrderID: o.ID, CustomerID: o.Created.CustomerID, Status: o.Status(), Version: o.Version,
		Amount: o.Created.Amount, Currency: money.Currency(o.Created.Currency.String()), Payment: o.Created.Payment,
		Items: len(o.Created.Items), OrderDate: o.Created.OrderDate, ChangedAt: noon,
		PaidAt: o.Paid.PaidAt, PaymentMethod: o.Paid.PaymentMethod, TransactionID: o.Paid.TransactionID,
		ProcessingStartedAt: o.ProcessingStarted.StartedAt,
		ShippedAt:           o.Shipped.ShippedAt, TrackingNumber: o.Shipped.TrackingNumber, Carrier: o.Shipped.Carrier,
		EstimatedDelivery: o.Shipped.EstimatedDelivery, DeliveredAt: o.Delivered.DeliveredAt,
		CancelledAt: o.Cancelled.CancelledAt, Reason: o.Cancelled.Reason, RefundAmount: o.Cancelled.RefundAmount,
		Refunded: o.Refunded.Amount, RefundedAt: o.Refunded.RefundedAt,
	}
	if r.Payment == "" {
		r.Payment = fact.PaymentAutomatic
	}
	return r
}

// The view is rebuilt while orders arrive and change, and lists are read all the time. Afterwards its rows are those that it would have
// without, which are those that the orders make.
func TestRebuildWhileOrdersArrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s shop) {
		const customers, before, meanwhile = 3, 200, 500
		for i := range before {
			s.live(t, fmt.Sprint("before-", i), fmt.Sprint("customer-", i%customers))
		}
		s.catchUp(t)

		over := make(chan struct{})
		var working sync.WaitGroup
		ordered := before
		working.Go(func() {
			for ordered < before+meanwhile { // not more than a slow machine can follow
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
					s.live(t, fmt.Sprint("meanwhile-", ordered), fmt.Sprint("customer-", ordered%customers))
					ordered++
				}
			}
		})
		working.Go(func() { s.browse(t, over) })
		rebuilding := project(t, s.Store, &projection.Options{Batch: 50})
		working.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					s.chore(t)
				}
			}
		})
		for range 3 {
			if err := rebuilding.Rebuild(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
		close(over)
		working.Wait()
		s.catchUp(t)

		was := s.everything(t)
		if len(was) != ordered {
			t.Errorf("the view has %d orders, want %d", len(was), ordered)
		}
		for _, r := range was {
			o, err := s.Load(t.Context(), r.OrderID)
			if diff := cmp.Diff(rowOf(o), r); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		}
		if err := s.view.Rebuild(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was, s.everything(t)); diff != "" {
			t.Errorf("a rebuild has other rows (-before +after):\n%s", diff)
		}
	})
}

// live has an order live for some of its steps.
func (s shop) live(t failing, id, customer string) {
	t.Helper()
	s.create(t, id, customer)
	total := money.MustParse("99.00")
	for _, decide := range []orderstore.Decide{
		func(o order.Order) ([]function.Payload, error) {
			return o.Pay(order.Payment{Amount: total, Currency: "EUR", TransactionID: "txn " + id, At: noon})
		},
		func(o order.Order) ([]function.Payload, error) {
			return o.Ship(order.Shipment{Carrier: "Swift Post", At: noon})
		},
		func(o order.Order) ([]function.Payload, error) { return o.Deliver(noon) },
	}[:rand.IntN(4)] {
		s.change(t, id, decide)
	}
}

// browse reads lists until over is closed. All are answered, and none gets shorter.
func (s shop) browse(t *testing.T, over <-chan struct{}) {
	lists := []func(context.Context, int, int) (orderview.Page, error){
		s.queries.All,
		func(ctx context.Context, page, limit int) (orderview.Page, error) {
			return s.queries.ByCustomer(ctx, "customer-1", page, limit)
		},
	}
	known := make([]int, len(lists))
	for {
		for i, list := range lists {
			page, err := list(t.Context(), 2, 10)
			if err != nil {
				t.Errorf("list %d was not answered: %v", i, err)
				return
			}
			if page.Total < known[i] || len(page.Orders) != 10 {
				t.Errorf("list %d has %d orders, %d on page 2, after one of %d", i, page.Total, len(page.Orders), known[i])
				return
			}
			known[i] = page.Total
		}
		select {
		case <-over:
			return
		default:
		}
	}
}

func (s shop) chore(t *testing.T) {
	if err := s.view.Chore().Run(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// everything returns all rows.
func (s shop) everything(t *testing.T) (all []orderview.Row) {
	t.Helper()
	for number := 1; ; number++ {
		page := s.all(t, number, 100)
		if len(page.Orders) == 0 {
			return all
		}
		all = append(all, page.Orders...)
	}
}
