package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
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

// BenchmarkAnswer is what a record costs that is answered with an event, from the door to the record that carries the
// answer. What the handler does to make the event is in it.
func BenchmarkAnswer(b *testing.B) {
	for name, extra := range map[string][]string{"plain": nil, "traced": {"ce_traceparent", ofEvent}} {
		b.Run(name, func(b *testing.B) {
			p, err := pipeline.New("group", []pipeline.Function{{
				Spec: function.Spec{
					Name: "test", Topic: "in", Emits: []string{outType}, Topics: map[string]string{outType: "out"},
					New: func(function.Lookup) (function.Handler, error) { return nil, context.Canceled },
				},
				Handler: function.Raw(answer, inType),
			}}, encoding{}, &bundle{}, nil)
			if err != nil {
				b.Fatal(err)
			}
			d := cloudEvent(append([]string{"ce_subject", "order-1", "ce_time", "2026-11-23T10:00:00Z",
				"ce_correlationid", "flow-1", "ce_partitionkey", "order-1"}, extra...)...)
			record := d.Record
			b.ReportAllocs()
			for b.Loop() {
				*d = pipeline.Delivery{Record: record}
				if _, finished := p.Handle(b.Context(), d); !finished {
					b.Fatal("not finished")
				}
			}
		})
	}
}

// answer answers e with an event that has its subject, key and data.
func answer(_ context.Context, e event.Event) ([]event.Event, error) {
	answer := event.New()
	answer.SetType(outType)
	answer.SetSubject(e.Subject())
	answer.SetExtension(function.PartitionKey, e.Subject())
	answer.SetDataContentType(event.ApplicationJSON)
	answer.DataEncoded = e.Data()
	return []event.Event{answer}, nil
}

// encoding is a sink that writes events into records and forgets them.
type encoding struct{}

func (encoding) Send(_ context.Context, outputs ...pipeline.Output) error {
	for i := range outputs {
		if _, err := kafkabinding.EncodeKeyed(outputs[i].Event, kafkabinding.Binary); err != nil {
			return err
		}
	}
	return nil
}
