package payment

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
)

// BenchmarkCharge charges orders, many at once, each with two transactions and one request to a provider on this machine.
func BenchmarkCharge(b *testing.B) {
	for kind, environment := range kinds {
		b.Run(kind, func(b *testing.B) {
			settings := maps.Clone(environment(b))
			settings["DATABASE_DURABLE"] = "true"
			s := newShop(b, settings)
			var orders atomic.Int64
			b.SetParallelism(16)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.insist(s.event(created(fmt.Sprintf("order-%d", orders.Add(1)), "99.90"))); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
