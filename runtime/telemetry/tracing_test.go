package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

const (
	eventTrace  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	headerTrace = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// traced is a pipeline of one function, whose attempts make spans, with what it published.
type traced struct {
	*pipeline.Pipeline

	sent []pipeline.Output
}

func (p *traced) Send(_ context.Context, outputs ...pipeline.Output) error {
	p.sent = append(p.sent, outputs...)
	return nil
}

func (*traced) Write(context.Context, pipeline.Failure) error { return nil }

func newTraced(t *testing.T, tracing *telemetry.Tracing, handle func(context.Context, event.Event) ([]event.Event, error)) *traced {
	t.Helper()
	mailer := spec("mailer", "orders", "mail", "sent")
	mailer.Topics = map[string]string{"sent": "mails"}
	mailer.Attempts = 2
	standard := middleware.WithCircuits(breaker.NewSet(&breaker.Options{FailureThreshold: 1, Log: quiet()}), pipeline.Backoff{First: time.Second, Max: time.Second})
	p := &traced{}
	var err error
	p.Pipeline, err = pipeline.New("mail", []pipeline.Function{{Spec: mailer, Handler: function.Raw(handle, "placed")}}, p, p, &pipeline.Options{
		Middleware: func(s function.Spec) []pipeline.Middleware {
			return append([]pipeline.Middleware{tracing.Middleware(s)}, standard(s)...)
		},
		Observers: []pipeline.Observer{tracing},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// placed is the record of an event, with further headers.
func placed(headers ...string) *pipeline.Delivery {
	d := &pipeline.Delivery{Record: pipeline.Record{Topic: "orders", Partition: 2, Offset: 1234}}
	d.Value = []byte(`{}`)
	headers = append([]string{
		"ce_specversion", "1.0", "ce_id", "event-1", "ce_source", "/shop", "ce_type", "placed", "ce_subject", "order-7",
	}, headers...)
	for i := 0; i < len(headers); i += 2 {
		d.Headers = append(d.Headers, kafkabinding.Header{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return d
}

func succeed(context.Context, event.Event) ([]event.Event, error) { return nil, nil }

func failing(err error) func(context.Context, event.Event) ([]event.Event, error) {
	return func(context.Context, event.Event) ([]event.Event, error) { return nil, err }
}

func TestSpanOfAnAttempt(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	before := time.Now()
	newTraced(t, tracing, succeed).Handle(t.Context(), placed("ce_traceparent", eventTrace, "ce_tracestate", "a=b"))
	tracing.Flush(t.Context())

	span := c.attempt(t)
	if hex.EncodeToString(span.GetTraceId()) != eventTrace[3:35] || hex.EncodeToString(span.GetParentSpanId()) != eventTrace[36:52] || span.GetTraceState() != "a=b" {
		t.Errorf("the span is not a child of the event's: %v", span)
	}
	if span.GetKind() != tracepb.Span_SPAN_KIND_CONSUMER || span.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("got %v", span)
	}
	begin, end := time.Unix(0, int64(span.GetStartTimeUnixNano())), time.Unix(0, int64(span.GetEndTimeUnixNano()))
	if begin.Before(before) || end.Before(begin) || end.After(time.Now()) {
		t.Errorf("from %s to %s", begin, end)
	}
	want := map[string]any{
		"messaging.system": "kafka", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.destination.name": "orders", "messaging.destination.partition.id": "2", "messaging.kafka.offset": int64(1234),
		"messaging.consumer.group.name": "mail", "messaging.message.id": "event-1",
		"cloudevents.event_id": "event-1", "cloudevents.event_source": "/shop", "cloudevents.event_type": "placed",
		"cloudevents.event_spec_version": "1.0", "cloudevents.event_subject": "order-7",
		"millrace.function": "mailer", "millrace.attempt": int64(1), "millrace.outcome": "done",
	}
	if got := attributes(span.GetAttributes()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%v, want\n%v", got, want)
	}
	resource := attributes(c.data[0].GetResourceSpans()[0].GetResource().GetAttributes())
	if resource["service.name"] != "shop" || resource["service.version"] != "v1" || resource["telemetry.sdk.language"] != "go" {
		t.Errorf("got %v", resource)
	}
}

func TestSpansTellWhatBecameOfAnAttempt(t *testing.T) {
	t.Parallel()
	failure := errors.New("refused")
	for _, test := range []struct {
		name               string
		err                error
		outcome, errorType any
		message            string
	}{
		{"done", nil, "done", nil, ""},
		{"dropped", function.Drop("seen"), "dropped", nil, ""},
		{"failed", failure, "retry", "error", "refused"},
		{"too slow", context.DeadlineExceeded, "retry", "timeout", "context deadline exceeded"},
		{"permanent", function.Permanent(failure), "dead-letter", "permanent", "refused"},
		{"unavailable", function.Unavailable("smtp", failure), "unavailable", "unavailable", "smtp is unavailable: refused"},
		{"a long error", errors.New(strings.Repeat("x", 1<<20)), "retry", "error", strings.Repeat("x", 1<<10)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			tracing := startTracing(t, c.URL, quiet(), nil)
			newTraced(t, tracing, failing(test.err)).Handle(t.Context(), placed())
			tracing.Flush(t.Context())
			span := c.attempt(t)
			got := attributes(span.GetAttributes())
			if got["millrace.outcome"] != test.outcome || got["error.type"] != test.errorType || span.GetStatus().GetMessage() != test.message {
				t.Errorf("got %v, status %v", got, span.GetStatus())
			}
			if failed := span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != (test.errorType != nil) {
				t.Errorf("status %v", span.GetStatus())
			}
			if len(span.GetParentSpanId()) != 0 {
				t.Errorf("the span of an event without a trace has a parent")
			}
		})
	}
}

func TestSpanOfAnAttemptThatIsGivenUp(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	ctx, leave := context.WithCancel(t.Context())
	p := newTraced(t, tracing, func(ctx context.Context, _ event.Event) ([]event.Event, error) {
		leave()
		return nil, ctx.Err()
	})
	p.Handle(ctx, placed())
	tracing.Flush(t.Context())
	if got := attributes(c.attempt(t).GetAttributes())["millrace.outcome"]; got != "given-up" {
		t.Errorf("got %v", got)
	}
}

func TestAttemptsAreSiblings(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	p := newTraced(t, tracing, failing(errors.New("refused")))
	d := placed("ce_traceparent", eventTrace)
	for range 2 {
		p.Handle(t.Context(), d)
	}
	tracing.Flush(t.Context())
	spans := c.spans()["process orders"]
	if len(spans) != 2 {
		t.Fatalf("got %v", spans)
	}
	for i, span := range spans {
		got := attributes(span.GetAttributes())
		if hex.EncodeToString(span.GetParentSpanId()) != eventTrace[36:52] || got["millrace.attempt"] != int64(i+1) {
			t.Errorf("attempt %d: %v", i+1, span)
		}
	}
	if got := attributes(spans[1].GetAttributes()); got["millrace.outcome"] != "dead-letter" {
		t.Errorf("the last attempt: %v", got)
	}
}

func TestWhatMakesNoSpan(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	p := newTraced(t, tracing, failing(function.Unavailable("smtp", errors.New("refused"))))
	p.Handle(t.Context(), placed()) // opens the circuit
	for range 3 {
		p.Handle(t.Context(), placed()) // waits for it
	}
	foreign := placed()
	foreign.Headers[3].Value = []byte("strange")
	p.Handle(t.Context(), foreign)
	tracing.Flush(t.Context())
	if span := c.attempt(t); attributes(span.GetAttributes())["millrace.outcome"] != "unavailable" {
		t.Errorf("got %v", span)
	}
}

func TestSpanOfARecordThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	poison := placed("traceparent", headerTrace)
	poison.Headers = poison.Headers[1:]
	newTraced(t, tracing, succeed).Handle(t.Context(), poison)
	tracing.Flush(t.Context())
	span := c.attempt(t)
	got := attributes(span.GetAttributes())
	if hex.EncodeToString(span.GetTraceId()) != headerTrace[3:35] || got["error.type"] != function.ClassUndecodable || got["messaging.kafka.offset"] != int64(1234) {
		t.Errorf("got %v", span)
	}
}

func TestSpansAreLinkedToTheInvocation(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	p := newTraced(t, tracing, succeed)
	for _, header := range []string{
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "Root=1-57;Parent=what", "",
	} {
		ctx := context.WithValue(t.Context(), "x-amzn-trace-id", header) //nolint:revive,staticcheck // the key of aws-lambda-go
		p.Handle(ctx, placed())
	}
	tracing.Flush(t.Context())
	spans := c.spans()["process orders"]
	if len(spans) != 3 || len(spans[0].GetLinks()) != 1 || len(spans[1].GetLinks()) != 0 || len(spans[2].GetLinks()) != 0 {
		t.Fatalf("got %v", spans)
	}
	link := spans[0].GetLinks()[0]
	if hex.EncodeToString(link.GetTraceId()) != "5759e988bd862e3fe1be46a994272793" || hex.EncodeToString(link.GetSpanId()) != "53995c3f42cd8ad8" {
		t.Errorf("got %v", link)
	}
}

func TestTheTraceIsTheRecordsNotTheBatchs(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	batch := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
	newTraced(t, tracing, succeed).Handle(trace.ContextWithSpanContext(t.Context(), batch), placed())
	tracing.Flush(t.Context())
	if span := c.attempt(t); len(span.GetParentSpanId()) != 0 || bytes.Equal(span.GetTraceId(), []byte{0: 1, 15: 0}) {
		t.Errorf("got %v", span)
	}
}

func TestTheSpanTravelsWithWhatIsEmitted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		sampler string
		sampled bool
	}{{"sampled", eventTrace, true}, {"not sampled", strings.TrimSuffix(eventTrace, "1") + "0", false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			tracing := startTracing(t, c.URL, quiet(), nil)
			p := newTraced(t, tracing, func(context.Context, event.Event) ([]event.Event, error) {
				e := newEvent("", "sent")
				return []event.Event{e, e.Clone()}, nil
			})
			p.Handle(t.Context(), placed("ce_traceparent", test.sampler))
			tracing.Flush(t.Context())
			emitted := function.TraceOf(p.sent[0].Event)
			if emitted.ID() != eventTrace[3:35] || emitted.Parent == test.sampler || emitted != function.TraceOf(p.sent[1].Event) {
				t.Errorf("emitted with %v", emitted)
			}
			if !test.sampled {
				if len(c.spans()) != 0 || !strings.HasSuffix(emitted.Parent, "-00") {
					t.Errorf("got %v, emitted with %v", c.spans(), emitted)
				}
				return
			}
			if span := c.attempt(t); hex.EncodeToString(span.GetSpanId()) != emitted.Parent[36:52] {
				t.Errorf("emitted with %v by %v", emitted, span)
			}
		})
	}
}

func TestTracingIsOff(t *testing.T) {
	t.Parallel()
	endpoint := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
	for name, variables := range map[string]map[string]string{
		"no endpoint": {},
		"disabled":    {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
		"no exporter": {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318"},
	} {
		tracing, err := telemetry.StartTracing(loadConfig(t, variables), quiet())
		if err != nil || tracing != nil {
			t.Errorf("%s: got %v, %v", name, tracing, err)
		}
		p := newTraced(t, tracing, succeed)
		if _, finished := p.Handle(t.Context(), placed()); !finished {
			t.Errorf("%s: not finished", name)
		}
		tracing.Flush(t.Context())
		tracing.Close()
	}
	tracing, err := telemetry.StartTracing(loadConfig(t, endpoint), quiet())
	if err != nil || tracing == nil {
		t.Fatalf("with an endpoint: got %v, %v", tracing, err)
	}
	tracing.Close()
}

//nolint:paralleltest // testing.AllocsPerRun refuses to run beside others
func TestTracingThatIsOffDoesNotAllocate(t *testing.T) {
	var off *telemetry.Tracing
	bare := func(context.Context, *pipeline.Delivery) error { return nil }
	handle := off.Middleware(spec("mailer", "orders", "mail"))(bare)
	d, o := placed(), hotOutcome()
	if n := testing.AllocsPerRun(100, func() {
		_ = handle(t.Context(), d)
		off.Observe(o)
		off.Flush(t.Context())
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkSpan(b *testing.B) {
	tracing, err := telemetry.StartTracing(telemetry.Config{Tracing: telemetry.TracingConfig{
		OTLP: telemetry.OTLPConfig{Endpoint: "http://127.0.0.1:1"},
	}}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer tracing.Close()
	handle := tracing.Middleware(spec("mailer", "orders", "mail"))(func(context.Context, *pipeline.Delivery) error { return nil })
	d := placed("ce_traceparent", eventTrace)
	d.Event = newEvent("event-1", "placed")
	b.ReportAllocs()
	for b.Loop() {
		_ = handle(b.Context(), d)
	}
}
