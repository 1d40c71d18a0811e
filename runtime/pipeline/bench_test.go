package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

// BenchmarkHandle is what a record costs between the door and its verdict, with a handler that does nothing.
func BenchmarkHandle(b *testing.B) {
	s := &bundle{}
	p, err := pipeline.New("group", []pipeline.Function{{
		Spec: function.Spec{
			Name: "test", Topic: "in", New: func(function.Lookup) (function.Handler, error) { return nil, context.Canceled },
		},
		Handler: function.Raw(func(context.Context, event.Event) ([]event.Event, error) { return nil, nil }, inType),
	}}, s, s, &pipeline.Options{Middleware: middleware.Standard(pipeline.Backoff{First: time.Second, Max: time.Minute})})
	if err != nil {
		b.Fatal(err)
	}
	record := cloudEvent("ce_subject", "order-1", "ce_time", "2026-11-23T10:00:00Z",
		"ce_correlationid", "flow-1", "ce_causationid", "e-0").Record
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		d := &pipeline.Delivery{}
		for pb.Next() {
			*d = pipeline.Delivery{Record: record}
			if _, finished := p.Handle(b.Context(), d); !finished {
				b.Error("not finished")
			}
		}
	})
}
