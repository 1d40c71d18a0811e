package inventory

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
)

// BenchmarkOrder has orders placed and paid, many at once, with two transactions each: for one product, whose row all wait
// for, and for a hundred.
func BenchmarkOrder(b *testing.B) {
	for kind, empty := range kinds {
		for _, products := range []int64{1, 100} {
			b.Run(fmt.Sprintf("%s/products=%d", kind, products), func(b *testing.B) {
				c := empty(b)
				c.Durable = true
				s := opened(b, c, maxPieces)
				var orders atomic.Int64
				b.SetParallelism(16)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						n := orders.Add(1)
						id := fmt.Sprintf("order-%d", n)
						for _, e := range []event.Event{created(b, id, fmt.Sprintf("1 prod-%d", n%products)), paid(b, id)} {
							if _, err := s.Handle(b.Context(), e); err != nil {
								b.Error(err)
							}
						}
					}
				})
			})
		}
	}
}
