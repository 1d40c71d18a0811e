package kafkasink_test

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestHeadersTellTheTrace(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	broker := runtimetest.Kafka(t, nil)
	for _, format := range []kafkasink.Format{kafkasink.Binary, kafkasink.Structured, kafkasink.Envelope} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			topic := broker.NewTopic(t, 1)
			events := []event.Event{newEvent("1", "order-1"), newEvent("2", "order-1"), newEvent("3", "order-1"), newEvent("4", "order-1")}
			function.Trace{Parent: parent, State: "a=b"}.Stamp(events[:1])
			function.Trace{Parent: parent}.Stamp(events[1:2])
			events[2].SetExtension(function.TraceParent, "nonsense")
			sink := open(t, broker, &kafkasink.Options{Format: format})
			for _, e := range events {
				if err := sink.Send(t.Context(), output(topic, e)); err != nil {
					t.Fatal(err)
				}
			}
			for i, r := range broker.Records(t, topic, len(events)) {
				var got [2]string
				for _, h := range r.Headers {
					switch h.Key {
					case "traceparent":
						got[0] += string(h.Value)
					case "tracestate":
						got[1] += string(h.Value)
					}
				}
				if want := [][2]string{{parent, "a=b"}, {parent}, {}, {}}[i]; got != want {
					t.Errorf("event %d has %q, want %q", i+1, got, want)
				}
			}
		})
	}
}
