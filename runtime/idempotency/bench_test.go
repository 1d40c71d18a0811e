package idempotency_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// One event that is new: claim, complete with one stored event of 100 bytes, published; and one that was handled before.
func BenchmarkOnce(b *testing.B) {
	spec, err := shipSpec().Complete()
	if err != nil {
		b.Fatal(err)
	}
	returned := event.New()
	returned.SetID("1")
	returned.SetSource("/ship")
	returned.SetType(outType)
	returned.DataEncoded = make([]byte, 100)
	produce := func(context.Context, *pipeline.Delivery) ([]event.Event, error) { return []event.Event{returned}, nil } //nolint:unparam // it is a pipeline.Produce
	run := func(b *testing.B, once pipeline.Once, id func(int64) string) {
		b.Helper()
		var n atomic.Int64
		b.SetParallelism(16)
		b.RunParallel(func(loop *testing.PB) {
			for loop.Next() {
				e := event.New()
				e.SetID(id(n.Add(1)))
				e.SetSource("/bench")
				d := &pipeline.Delivery{Event: e}
				_, published, err := once.Do(b.Context(), d, produce)
				for function.VerdictOf(err) == function.Broken {
					_, published, err = once.Do(b.Context(), d, produce)
				}
				if err == nil && published != nil {
					err = published(b.Context())
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	}
	for _, k := range all {
		store := k.opened(b, k.place(b), retention)
		once := on(store)(spec)
		b.Run(k.name+"/new", func(b *testing.B) {
			prefix := strconv.Itoa(b.N) + "-"
			run(b, once, func(n int64) string { return prefix + strconv.FormatInt(n, 10) })
		})
		b.Run(k.name+"/duplicate", func(b *testing.B) {
			run(b, once, func(int64) string { return "same" })
		})
	}
	for _, k := range shared[:2] {
		once := inTransaction(k.opened(b, k.place(b), retention))(spec)
		b.Run(k.name+"/in a transaction", func(b *testing.B) {
			prefix := "tx" + strconv.Itoa(b.N) + "-"
			run(b, once, func(n int64) string { return prefix + strconv.FormatInt(n, 10) })
		})
	}
}
