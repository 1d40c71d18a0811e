package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/telemetry"
)

// output is a log that is written and read at the same time.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// attempts lets a function handle so many records and sends their spans.
func attempts(t *testing.T, tracing *telemetry.Tracing, n int) {
	t.Helper()
	p := newTraced(t, tracing, succeed)
	for range n {
		p.Handle(t.Context(), placed())
	}
	tracing.Flush(t.Context())
}

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variables map[string]string
		path      string
		header    map[string]string
	}{
		"plain": {nil, "/v1/traces", map[string]string{"Content-Type": "application/json", "Content-Encoding": ""}},
		"compressed, with headers": {
			map[string]string{
				"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary%20bird, Authorization = Basic a=b ,",
			}, "/v1/traces", map[string]string{"Content-Encoding": "gzip", "Api-Key": "canary bird", "Authorization": "Basic a=b"},
		},
		"traces apart": {
			map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "SERVER/own/path",
				"OTEL_EXPORTER_OTLP_HEADERS": "a=all", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=traces",
				"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
			}, "/own/path", map[string]string{"A": "traces", "Content-Encoding": ""},
		},
		"below a path": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "SERVER/otlp/"}, "/otlp/v1/traces", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			variables := map[string]string{}
			for name, value := range test.variables {
				variables[name] = strings.Replace(value, "SERVER", c.URL, 1)
			}
			attempts(t, startTracing(t, c.URL, quiet(), variables), 1)
			c.attempt(t)
			request := c.requests[0]
			if request.Method != http.MethodPost || request.URL.Path != test.path {
				t.Errorf("%s %s", request.Method, request.URL.Path)
			}
			for name, want := range test.header {
				if got := request.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestRequestsAreRepeatedWhereThatMayHelp(t *testing.T) {
	t.Parallel()
	for _, code := range []int{429, 502, 503, 504} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			c.answers = []http.HandlerFunc{status(code)}
			attempts(t, startTracing(t, c.URL, quiet(), nil), 1)
			c.attempt(t)
		})
	}
}

func TestSpansThatAreNotTakenAreTold(t *testing.T) {
	t.Parallel()
	hint := map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary", "OTEL_EXPORTER_OTLP_TIMEOUT": "5000"}
	partial := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`)
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		count  float64
		reason string
		// rests: nothing is sent for a while.
		rests bool
	}{
		"refused":                     {status(400), 3, "the receiver answers 400 Bad Request", true},
		"a redirect":                  {status(307, "Location", "/elsewhere"), 3, "the receiver answers 307 Temporary Redirect", true},
		"to be repeated much later":   {status(503, "Retry-After", "600"), 3, "the receiver answers 503 Service Unavailable", true},
		"some are rejected":           {partial, 2, "the receiver rejects 2 spans: too old", false},
		"an answer that is cut short": {status(200, "Content-Length", "7"), 3, "unexpected EOF", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log output
			c := newCollector(t)
			c.answers = []http.HandlerFunc{test.answer, nil}
			if name == "an answer that is cut short" {
				c.answers = []http.HandlerFunc{test.answer, test.answer, test.answer, test.answer, test.answer, test.answer}
			}
			tracing := startTracing(t, c.URL, telemetry.NewLogger(&log, telemetry.Config{}), hint)
			attempts(t, tracing, 3)
			got := lines(t, bytes.NewBufferString(log.String()))
			if len(got) != 1 || got[0]["count"] != test.count || got[0]["error"] != test.reason {
				t.Fatalf("got %v", got)
			}
			if strings.Contains(log.String(), "canary") {
				t.Errorf("the log shows a secret: %s", log.String())
			}
			before := c.received()
			attempts(t, tracing, 1)
			if rested := c.received() == before; rested != test.rests {
				t.Errorf("sent at once afterwards: %t", !rested)
			}
			tracing.Close()
			if got := lines(t, bytes.NewBufferString(log.String())); test.rests && (len(got) != 2 || got[1]["count"] != 1.0) {
				t.Errorf("at the end: %v", got)
			}
		})
	}
}

func TestOddAnswersAreTaken(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"", "{}", `{"partialSuccess":{}}`, `{"partialSuccess":{"rejectedSpans":0}}`, `{"partialSuccess":{"rejectedSpans":"many"}}`,
		"\n\x02\b\x00", strings.Repeat("[", 1<<20),
	} {
		var log output
		c := newCollector(t)
		c.answers = []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }}
		attempts(t, startTracing(t, c.URL, telemetry.NewLogger(&log, telemetry.Config{}), nil), 1)
		if log.String() != "" {
			t.Errorf("%.20q: %s", answer, log.String())
		}
	}
}

func TestHandlersDoNotWaitForACollectorThatIsAway(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	for name, endpoint := range map[string]string{"refuses connections": "http://127.0.0.1:1", "does not answer": silent.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log output
			tracing := startTracing(t, endpoint, telemetry.NewLogger(&log, telemetry.Config{}), nil)
			p := newTraced(t, tracing, succeed)
			const records = 5000 // more than twice what the queue holds
			begin := time.Now()
			for range records {
				if _, finished := p.Handle(t.Context(), placed()); !finished {
					t.Fatal("not finished")
				}
			}
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("%d records took %s", records, took)
			}
			begin = time.Now()
			tracing.Flush(t.Context())
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("Flush took %s", took)
			}
			begin = time.Now()
			tracing.Close()
			if took := time.Since(begin); took > 6*time.Second {
				t.Errorf("Close took %s", took)
			}
			if !strings.Contains(log.String(), "spans are lost") {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}

// TestSpansOfHandlers: a handler makes spans of its own, of every kind, and all of it arrives.
func TestSpansOfHandlers(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	at := time.Date(2026, 11, 23, 10, 0, 0, 123, time.UTC)
	linked, _ := trace.TraceIDFromHex(strings.Repeat("12", 16))
	p := newTraced(t, tracing, func(ctx context.Context, _ event.Event) ([]event.Event, error) {
		tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("own", trace.WithInstrumentationVersion("v2"))
		_, span := tracer.Start(ctx, "work \xff", trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithLinks(trace.Link{
				SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: linked, SpanID: trace.SpanID{1}}),
				Attributes:  []attribute.KeyValue{attribute.Bool("b", false)},
			}))
		span.SetAttributes(
			attribute.Bool("bool", false), attribute.Int64("int", math.MinInt64), attribute.Float64("float", 0.5),
			attribute.Float64("nan", math.NaN()), attribute.Float64("inf", math.Inf(1)), attribute.Float64("-inf", math.Inf(-1)),
			attribute.String("string", "a\"\n\u2028\xffz"), attribute.String("empty", ""),
			attribute.BoolSlice("bools", []bool{true, false}), attribute.Int64Slice("ints", []int64{1, math.MaxInt64}),
			attribute.Float64Slice("floats", []float64{1.5, math.NaN()}), attribute.StringSlice("strings", []string{"a", ""}),
			attribute.KeyValue{Key: "bytes", Value: attribute.ByteSliceValue([]byte{0, 255})},
			attribute.KeyValue{Key: "mixed", Value: attribute.SliceValue(attribute.IntValue(1), attribute.StringValue("x"))},
			attribute.KeyValue{Key: "map", Value: attribute.MapValue(attribute.Int("n", 1))},
			attribute.KeyValue{Key: "none", Value: attribute.Value{}},
		)
		span.AddEvent("half", trace.WithTimestamp(at.Add(1)), trace.WithAttributes(attribute.Int("n", 1)))
		span.SetStatus(codes.Ok, "")
		span.End(trace.WithTimestamp(at.Add(2)))
		return nil, nil
	})
	p.Handle(t.Context(), placed("ce_traceparent", eventTrace))
	tracing.Flush(t.Context())
	outer := c.attempt(t)
	if outer.GetFlags() != 0x301 {
		t.Errorf("the outer span has flags %#x, want sampled, and a parent that is remote", outer.GetFlags())
	}
	inner := c.spans()["work \ufffd"]
	if len(inner) != 1 {
		t.Fatalf("got %v", c.spans())
	}
	span := inner[0]
	if !bytes.Equal(span.GetParentSpanId(), outer.GetSpanId()) || !bytes.Equal(span.GetTraceId(), outer.GetTraceId()) {
		t.Error("the inner span is not a child of the outer")
	}
	span.TraceId, span.SpanId, span.ParentSpanId = nil, nil, nil
	text, err := protojson.Marshal(span)
	if err != nil {
		t.Fatal(err)
	}
	want := &tracepb.Span{}
	if err := protojson.Unmarshal([]byte(`{"name":"work \ufffd","kind":"SPAN_KIND_CLIENT","flags":257,
		"startTimeUnixNano":"1795428000000000123","endTimeUnixNano":"1795428000000000125","status":{"code":"STATUS_CODE_OK"},
		"attributes":[{"key":"bool","value":{"boolValue":false}},{"key":"int","value":{"intValue":"-9223372036854775808"}},
		{"key":"float","value":{"doubleValue":0.5}},{"key":"nan","value":{"doubleValue":"NaN"}},
		{"key":"inf","value":{"doubleValue":"Infinity"}},{"key":"-inf","value":{"doubleValue":"-Infinity"}},
		{"key":"string","value":{"stringValue":"a\"\n\u2028\ufffdz"}},{"key":"empty","value":{"stringValue":""}},
		{"key":"bools","value":{"arrayValue":{"values":[{"boolValue":true},{"boolValue":false}]}}},
		{"key":"ints","value":{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"9223372036854775807"}]}}},
		{"key":"floats","value":{"arrayValue":{"values":[{"doubleValue":1.5},{"doubleValue":"NaN"}]}}},
		{"key":"strings","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":""}]}}},
		{"key":"bytes","value":{"bytesValue":"AP8="}},
		{"key":"mixed","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"x"}]}}},
		{"key":"map","value":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"1"}}]}}},{"key":"none","value":{}}],
		"events":[{"timeUnixNano":"1795428000000000124","name":"half","attributes":[{"key":"n","value":{"intValue":"1"}}]}],
		"links":[{"traceId":"EhISEhISEhISEhISEhISEg==","spanId":"AQAAAAAAAAA=","flags":256,"attributes":[{"key":"b","value":{"boolValue":false}}]}]}`), want); err != nil {
		t.Fatal(err)
	}
	if wanted, _ := protojson.Marshal(want); compact(text) != compact(wanted) {
		t.Errorf("got\n%s, want\n%s", compact(text), compact(wanted))
	}
	var scopes []string
	for _, scope := range c.data[0].GetResourceSpans()[0].GetScopeSpans() {
		scopes = append(scopes, scope.GetScope().GetName()+" "+scope.GetScope().GetVersion())
	}
	if got := strings.Join(scopes, ", "); got != "own v2, github.com/millrace/millrace/runtime/telemetry v1" {
		t.Errorf("scopes %s", got)
	}
}

// compact takes the spaces out that protojson puts in at random.
func compact(text []byte) string { return strings.ReplaceAll(string(text), " ", "") }

func TestTracingConfigRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ variable, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be a URL"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b,canary", "OTEL_EXPORTER_OTLP_HEADERS must be name=value,name=value: pair 2 is not"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=canary%0d%0ab", "OTEL_EXPORTER_OTLP_HEADERS must be name=value,name=value: pair 1 is not"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a b=canary", "OTEL_EXPORTER_OTLP_HEADERS must be name=value,name=value: pair 1 is not"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%zz", "OTEL_EXPORTER_OTLP_HEADERS must be name=value,name=value: pair 1 is not"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/json, http/protobuf"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT must be a whole number"},
		{"METRICS_NAMESPACE", "AWS/Lambda", "METRICS_NAMESPACE must consist of"},
		{"METRICS_NAMESPACE", "mühle", "METRICS_NAMESPACE must consist of"},
	} {
		lookup := func(name string) (string, bool) {
			if name == test.variable {
				return test.value, true
			}
			if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
				return "http://127.0.0.1:4318", true
			}
			return "", false
		}
		err := config.Load(lookup, &telemetry.Config{})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s=%s: got %v", test.variable, test.value, err)
		}
	}
}

// TestSDKVariables: what the SDK reads for itself.
func TestSDKVariables(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "named")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	p := newTraced(t, tracing, succeed)
	p.Handle(t.Context(), placed())
	p.Handle(t.Context(), placed("ce_traceparent", eventTrace))
	tracing.Flush(t.Context())
	if span := c.attempt(t); hex.EncodeToString(span.GetTraceId()) != eventTrace[3:35] {
		t.Errorf("sampled %v", span)
	}
	got := attributes(c.data[0].GetResourceSpans()[0].GetResource().GetAttributes())
	if got["service.name"] != "named" || got["deployment.environment.name"] != "test" {
		t.Errorf("got %v", got)
	}
}
