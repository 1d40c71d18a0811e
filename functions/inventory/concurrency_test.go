package inventory

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// In two processes, orders for the same few products are placed, paid and cancelled all at once; each event is handled by
// both, as after a process lost a partition and does not know yet; some are paid while they are placed, as where these events
// are in different partitions; and the shelves are filled up meanwhile. No piece is reserved twice, none is lost, and what
// is told is what is stored.
func TestManyOrdersOfFewProducts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		const orders, products, initial, restocked = 120, 3, 40, 10
		processes := []shop{opened(t, c, initial), opened(t, c, initial)}
		s := processes[0]
		var busy sync.WaitGroup
		handle := func(events ...event.Event) {
			var all sync.WaitGroup
			for i := range len(processes) * len(events) {
				process, e := processes[i/len(events)], events[i%len(events)]
				all.Go(func() {
					if _, err := process.Handle(t.Context(), e); function.VerdictOf(err) > function.Dropped {
						t.Errorf("%s of %s: %v", e.Type(), e.Subject(), err)
					}
				})
			}
			all.Wait()
		}
		for n := range orders {
			busy.Go(func() {
				id := fmt.Sprintf("order-%d", n)
				items := make([]string, products)
				for i, which := range rand.Perm(products) {
					items[i] = fmt.Sprintf("%d prod-%d", 1+rand.IntN(3), which)
				}
				placed, settled := created(t, id, items[:1+rand.IntN(products)]...), paid(t, id)
				if n%2 == 0 {
					handle(placed, settled)
				} else {
					handle(placed)
					handle(settled)
				}
				if n%3 == 0 {
					handle(called(t, id))
				}
			})
		}
		for range restocked {
			busy.Go(func() {
				if _, err := s.Restock(t.Context(), "prod-0", 1); err != nil {
					t.Error(err)
				}
			})
		}
		busy.Wait()

		held, outcomes := map[string]int64{}, map[string]string{}
		gone := 0
		for _, p := range s.published(t) {
			_ = p.words(t)
			switch p.event.Type() {
			case fact.ReservedType:
				outcomes[p.event.Subject()] += "reserved"
				count(held, decoded[fact.Reserved](t, p.event).Items, 1)
			case fact.RejectedType:
				outcomes[p.event.Subject()] += "rejected"
			case fact.ReleasedType:
				outcomes[p.event.Subject()] += " released"
				count(held, decoded[fact.Released](t, p.event).Items, -1)
			case product.OutOfStockType:
				gone++
			}
		}
		if gone == 0 {
			t.Error("there were pieces for everybody")
		}
		for n := range orders {
			id := fmt.Sprintf("order-%d", n)
			want := "reserved"
			if n%3 == 0 {
				want = "reserved released"
			}
			if got := outcomes[id]; got != want && got != "rejected" {
				t.Errorf("of %s was told %q", id, got)
			}
		}
		for n := range products {
			got := s.stock(t, fmt.Sprintf("prod-%d", n))
			pieces := int64(initial)
			if n == 0 {
				pieces += restocked
			}
			if got.Available < 0 || got.Available+got.Reserved != pieces || got.Reserved != held[got.ProductID] {
				t.Errorf("stock is %+v, of %d pieces; told of %d reserved ones", got, pieces, held[got.ProductID])
			}
		}
		requireNoDeadlocks(t, c, processes)
	})
}

// count adds the pieces of items, or takes them away.
func count(held map[string]int64, items []fact.Item, sign int64) {
	for _, item := range items {
		held[item.ProductID] += sign * int64(item.Quantity)
	}
}

// requireNoDeadlocks asks the server, to which connections report when they end. A transaction that met a deadlock was tried
// again after a second: nobody else would notice.
func requireNoDeadlocks(t *testing.T, c database.Config, processes []shop) {
	t.Helper()
	if c.Kind != string(database.Postgres) {
		return
	}
	for _, process := range processes {
		if err := process.Close(); err != nil {
			t.Error(err)
		}
	}
	var deadlocks int
	err := opened(t, c, 0).db.Read().
		QueryRowContext(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
	if err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}
