package orderstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/functions/internal/orderstore"
)

// BenchmarkChange creates orders, many at a time.
func BenchmarkChange(b *testing.B) {
	eachOf(b, func(b *testing.B, s *orderstore.Store) {
		var orders atomic.Int64
		b.SetParallelism(4)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Change(b.Context(), fmt.Sprint(orders.Add(1)), orderstore.Cause{}, create, nil); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkLoadNone looks for orders of others, as order-process does for what it is to pass by.
func BenchmarkLoadNone(b *testing.B) {
	eachOf(b, func(b *testing.B, s *orderstore.Store) {
		for b.Loop() {
			if _, err := s.Load(b.Context(), "somebody else's"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func eachOf(b *testing.B, run func(*testing.B, *orderstore.Store)) {
	b.Helper()
	for kind, empty := range databases {
		b.Run(kind, func(b *testing.B) {
			c := empty(b)
			c.Durable = true
			run(b, open(b, c))
		})
	}
}
