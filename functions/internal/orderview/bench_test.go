package orderview_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
)

// filled is a shop with so many orders that were paid, of 100 customers.
func filled(b *testing.B, kind string, orders int) shop {
	b.Helper()
	store, err := orderstore.Open(b.Context(), databases[kind](b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	const atOnce = eventstore.MaxWrites
	for first := 0; first < orders; first += atOnce {
		var writes []eventstore.Write
		for n := first; n < first+atOnce; n++ {
			id, customer := fmt.Sprint("order-", n), fmt.Sprint("customer-", n%100)
			w := eventstore.Write{Stream: orderstore.Stream(id)}
			for i, told := range []function.Payload{
				fact.Created{OrderID: id, CustomerID: customer, Amount: money.MustParse("99.90"), OrderDate: noon},
				fact.Paid{OrderID: id, CustomerID: customer, TransactionID: "txn-" + id, PaidAt: noon},
			} {
				e, err := function.NewEvent(told)
				if err != nil {
					b.Fatal(err)
				}
				e.SetID(fmt.Sprint(id, "-", i))
				e.SetSource(orderstore.Source)
				e.SetTime(noon)
				w.Events = append(w.Events, e)
			}
			writes = append(writes, w)
		}
		if _, err := store.Events().Append(b.Context(), writes...); err != nil {
			b.Fatal(err)
		}
	}
	view, err := projection.New(b.Context(), store.DB(), store.Events(), orderview.Projection(), nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := view.CatchUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	return shop{store, view, orderview.NewQueries(store.DB())}
}

// A rebuild, in events a second.
func BenchmarkRebuild(b *testing.B) {
	const orders = 10_000
	for _, kind := range slices.Sorted(maps.Keys(databases)) {
		b.Run(kind, func(b *testing.B) {
			s := filled(b, kind, orders)
			began, rebuilds := time.Now(), 0
			for b.Loop() {
				if err := s.view.Rebuild(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
				rebuilds++
			}
			b.ReportMetric(float64(rebuilds*2*orders)/time.Since(began).Seconds(), "events/s")
		})
	}
}

// What it costs to find that there is nothing to do.
func BenchmarkCatchUpWithNothing(b *testing.B) {
	for _, kind := range slices.Sorted(maps.Keys(databases)) {
		b.Run(kind, func(b *testing.B) {
			s := filled(b, kind, 100)
			for b.Loop() {
				if err := s.view.CatchUp(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Pages of 20 orders, the first one and one far back.
func BenchmarkPage(b *testing.B) {
	const orders = 10_000
	for _, kind := range slices.Sorted(maps.Keys(databases)) {
		s := filled(b, kind, orders)
		for _, number := range []int{1, orders / 20} {
			b.Run(fmt.Sprint(kind, "/page ", number), func(b *testing.B) {
				for b.Loop() {
					if page, err := s.queries.All(b.Context(), number, 20); err != nil || len(page.Orders) != 20 {
						b.Fatal(len(page.Orders), err)
					}
				}
			})
		}
	}
}
