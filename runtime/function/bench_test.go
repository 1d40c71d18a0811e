package function_test

import (
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
)

const parentID = "550e8400-e29b-41d4-a716-446655440000"

func BenchmarkEmittedID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		function.EmittedID("order-created", "/order-service", parentID, 0)
	}
}

// BenchmarkStamp is what it costs to complete one event, beside making it.
func BenchmarkStamp(b *testing.B) {
	spec := function.Spec{Name: "order-created", Source: "/order-created"}
	for name, trace := range map[string]function.Trace{"plain": {}, "traced": {Parent: traceParent}} {
		b.Run(name, func(b *testing.B) {
			in, now := parent(parentID, "/order-service", "flow-1"), time.Now()
			ec := event.EventContextV1{Type: "test.greeted.v1"}
			extensions := map[string]any{}
			b.ReportAllocs()
			for b.Loop() {
				clear(extensions)
				extensions[function.PartitionKey] = "order-1"
				c := ec
				c.Extensions = extensions
				events := [1]event.Event{{Context: &c}}
				function.Stamp(&spec, in, events[:], now)
				trace.Stamp(events[:])
			}
		})
	}
}
