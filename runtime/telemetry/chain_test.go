package telemetry_test

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/telemetry"
)

// chain is a row of functions on a broker, each of which answers what it reads into the topic of the next. The last one
// fails for good.
type chain struct {
	*runtimetest.Broker

	topics  []string
	letters string
	format  kafkasink.Format
}

// newChain starts the functions, one for each of tracings, with spans where that is not nil.
func newChain(t *testing.T, format kafkasink.Format, tracings ...*telemetry.Tracing) *chain {
	t.Helper()
	c := &chain{Broker: runtimetest.Kafka(t, nil), format: format}
	c.letters = c.NewTopic(t, 1)
	for range tracings {
		c.topics = append(c.topics, c.NewTopic(t, 1))
	}
	for i, tracing := range tracings {
		c.run(t, i, tracing)
	}
	return c
}

// run runs the i-th function until the test ends.
func (c *chain) run(t *testing.T, i int, tracing *telemetry.Tracing) {
	t.Helper()
	link := spec("link", c.topics[i], c.group(i))
	handle := failing(function.Permanent(errors.New("the end of the chain")))
	if i+1 < len(c.topics) {
		link.Emits, link.Topics = []string{"placed"}, map[string]string{"placed": c.topics[i+1]}
		handle = func(context.Context, event.Event) ([]event.Event, error) {
			e := newEvent("", "placed")
			e.SetSource("")
			e.SetSubject("order-7")
			return []event.Event{e}, nil
		}
	}
	client := kafkaclient.Config{Brokers: c.Addrs}
	sink, err := kafkasink.Open(client, "chain", &kafkasink.Options{Format: c.format})
	if err != nil {
		t.Fatal(err)
	}
	dead := deadletter.NewWriter(sink, deadletter.Service{Name: "chain"}, &deadletter.Options{Topic: c.letters})
	p, err := pipeline.New(link.Group, []pipeline.Function{{Spec: link, Handler: function.Raw(handle, "placed")}}, sink, dead, &pipeline.Options{
		Middleware: func(s function.Spec) []pipeline.Middleware {
			return append([]pipeline.Middleware{tracing.Middleware(s)}, middleware.Standard(pipeline.Backoff{First: time.Millisecond, Max: time.Second})(s)...)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var group consumergroup.Config
	if err := config.Load(func(string) (string, bool) { return "", false }, &group); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- consumergroup.Run(ctx, client, group, p, &consumergroup.Options{Log: quiet()}) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, sink.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (c *chain) group(i int) string { return c.topics[i] + "-readers" }

// feed publishes an event with the trace for the first function, and returns the dead letter that the last one writes.
func (c *chain) feed(t *testing.T, headers ...kgo.RecordHeader) *kgo.Record {
	t.Helper()
	record := &kgo.Record{Value: []byte(`{}`), Headers: headers}
	for _, h := range placed().Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	c.Produce(t, c.topics[0], record)
	return c.Records(t, c.letters, 1)[0]
}

func TestAChainOfFunctionsIsOneTrace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		format kafkasink.Format
		traced []bool
		header string
	}{
		{"all traced", kafkasink.Binary, []bool{true, true, true}, "ce_traceparent"},
		{"in envelopes", kafkasink.Envelope, []bool{true, true, false, true}, "ce_traceparent"},
		{"one between is not", kafkasink.Structured, []bool{true, false, true}, "ce_traceparent"},
		{"the first is not, and knows of the trace by Kafka's header alone", kafkasink.Binary, []bool{false, true}, "traceparent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			receiver := newCollector(t)
			tracings := make([]*telemetry.Tracing, len(test.traced))
			for i, on := range test.traced {
				if on {
					tracings[i] = startTracing(t, receiver.URL, quiet(), nil)
				}
			}
			c := newChain(t, test.format, tracings...)
			letter := c.feed(t, kgo.RecordHeader{Key: test.header, Value: []byte(eventTrace)})
			parent := eventTrace[36:52]
			for i, tracing := range tracings {
				if tracing == nil {
					continue
				}
				// The event may arrive before the attempt that published it has ended.
				c.AwaitCommitted(t, c.group(i), c.topics[i], map[int32]int64{0: 1})
				tracing.Close()
				spans := receiver.spans()["process "+c.topics[i]]
				if len(spans) != 1 {
					t.Fatalf("function %d made %v", i, receiver.spans())
				}
				if hex.EncodeToString(spans[0].GetTraceId()) != eventTrace[3:35] || hex.EncodeToString(spans[0].GetParentSpanId()) != parent {
					t.Errorf("function %d: %v is not a child of %s", i, spans[0], parent)
				}
				if i+1 < len(tracings) {
					parent = hex.EncodeToString(spans[0].GetSpanId())
				}
			}
			if got := headersNamed(letter, "traceparent"); len(got) != 1 || got[0][3:52] != eventTrace[3:36]+parent {
				t.Errorf("the dead letter carries %v, want the span %s", got, parent)
			}
		})
	}
}

func headersNamed(r *kgo.Record, name string) []string {
	var values []string
	for _, h := range r.Headers {
		if h.Key == name {
			values = append(values, string(h.Value))
		}
	}
	return values
}
