package pipeline

import (
	"errors"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
)

const emittedType = "test.out.v1"

// emitted returns an event as it is when it is stamped.
func emitted() event.Event {
	e := event.New()
	e.SetID("550e8400-e29b-41d4-a716-446655440000")
	e.SetSource("/test")
	e.SetType(emittedType)
	e.SetSubject("order-1")
	e.SetExtension(function.PartitionKey, "order-1")
	e.SetExtension(function.CorrelationID, "flow-1")
	e.SetExtension(function.CausationID, "e-1")
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{}`)
	return e
}

// An event is let through if and only if the SDK finds it valid and the binding can write it. What is wrong with it is told
// in the words of the SDK, where it has any.
func TestOutputsAreThoseThatCanBeWritten(t *testing.T) {
	t.Parallel()
	m := &emitter{topics: map[string]string{emittedType: "out"}}
	rapid.Check(t, func(t *rapid.T) {
		e := cloudeventstest.Events().Draw(t, "event")
		e.SetType(emittedType)
		for range rapid.IntRange(0, 2).Draw(t, "faults") {
			spoil(t, &e)
		}
		outputs, err := m.outputs([]event.Event{e})
		invalid := e.Validate()
		_, refused := kafkabinding.EncodeKeyed(e, kafkabinding.Binary)
		if invalid == nil && refused == nil {
			if err != nil || len(outputs) != 1 || outputs[0].Topic != "out" || !reflect.DeepEqual(outputs[0].Event, e) {
				t.Fatalf("got %v, %v", outputs, err)
			}
			return
		}
		permanent, ok := errors.AsType[*function.PermanentError](err)
		if !ok || permanent.Class != function.ClassOutput || outputs != nil {
			t.Fatalf("got %v, %v", outputs, err)
		}
		want := refused
		if invalid != nil {
			want = invalid
		}
		if got := errors.Unwrap(permanent.Err); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// spoil makes one attribute of e what it may not be, but for a few things that only look so.
func spoil(t *rapid.T, e *event.Event) {
	text := rapid.SampledFrom([]string{"", " ", "\u00a0", "a b", "a\tb", "\xff", "/;", "text/plain; a", "Foo", "data"}).Draw(t, "text")
	ec, ok := e.Context.(*event.EventContextV1)
	if !ok {
		return
	}
	switch rapid.SampledFrom([]string{
		"id", "source", "subject", "time", "dataschema", "datacontenttype", "extension", "name", "field", "version",
	}).Draw(t, "fault") {
	case "id":
		ec.ID = text
	case "source":
		ec.Source = types.URIRef{URL: url.URL{Path: text}}
	case "subject":
		ec.Subject = &text
	case "time":
		ec.Time = &types.Timestamp{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	case "dataschema":
		ec.DataSchema = &types.URI{URL: url.URL{Path: text}}
	case "datacontenttype":
		ec.DataContentType = &text
	case "extension":
		ec.Extensions = map[string]any{function.CausationID: text}
	case "name":
		ec.Extensions = map[string]any{text: "x"}
	case "field":
		e.SetID("")
	case "version":
		e.SetSpecVersion(event.CloudEventsVersionV03)
	}
}

func BenchmarkOutputs(b *testing.B) {
	m := &emitter{topics: map[string]string{emittedType: "out"}}
	plain, traced := emitted(), emitted()
	traced.SetExtension(function.TraceParent, "00-11111111111111111111111111111111-1111111111111111-01")
	for name, e := range map[string]event.Event{"plain": plain, "traced": traced} {
		b.Run(name, func(b *testing.B) {
			events := []event.Event{e}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.outputs(events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
