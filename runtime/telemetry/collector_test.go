package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/telemetry"
)

// collector is an OTLP/HTTP receiver that reads what it gets as OpenTelemetry's own types do.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*http.Request
	data     []*tracepb.TracesData
	// answers are what the next requests are answered; nil for 200.
	answers []http.HandlerFunc
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
			body, err = gunzip(body)
		}
		if err != nil {
			t.Errorf("request: %v", err)
		}
		if answer := c.take(t, r, body); answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func gunzip(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// take keeps a request and returns how to answer it.
func (c *collector) take(t *testing.T, r *http.Request, body []byte) http.HandlerFunc {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if len(c.answers) > 0 {
		answer := c.answers[0]
		c.answers = c.answers[1:]
		if answer != nil {
			return answer
		}
	}
	c.data = append(c.data, decodeOTLP(t, body))
	return nil
}

// decodeOTLP reads a request by way of the canonical JSON of protobuf, which differs in the ids alone.
func decodeOTLP(t *testing.T, body []byte) *tracepb.TracesData {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		t.Errorf("%v in %s", err, body)
		return &tracepb.TracesData{}
	}
	encodeIDs(tree)
	canonical, err := json.Marshal(tree)
	if err != nil {
		t.Error(err)
	}
	data := &tracepb.TracesData{}
	if err := protojson.Unmarshal(canonical, data); err != nil {
		t.Errorf("%v in %s", err, body)
	}
	return data
}

// encodeIDs turns the hexadecimal ids of OTLP into the base64 of protobuf.
func encodeIDs(tree any) {
	switch node := tree.(type) {
	case []any:
		for _, child := range node {
			encodeIDs(child)
		}
	case map[string]any:
		for name, child := range node {
			if text, ok := child.(string); ok && (name == "traceId" || name == "spanId" || name == "parentSpanId") {
				raw, _ := hex.DecodeString(text)
				node[name] = base64.StdEncoding.EncodeToString(raw)
			}
			encodeIDs(child)
		}
	}
}

// spans returns the spans that arrived, by their names.
func (c *collector) spans() map[string][]*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := map[string][]*tracepb.Span{}
	for _, data := range c.data {
		for _, resource := range data.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					spans[span.GetName()] = append(spans[span.GetName()], span)
				}
			}
		}
	}
	return spans
}

// attempt returns the only span of an attempt.
func (c *collector) attempt(t *testing.T) *tracepb.Span {
	t.Helper()
	spans := c.spans()["process orders"]
	if len(spans) != 1 {
		t.Fatalf("%d attempts, want one: %v", len(spans), c.spans())
	}
	return spans[0]
}

func (c *collector) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests)
}

// attributes are plain values by their keys.
func attributes(list []*commonpb.KeyValue) map[string]any {
	values := map[string]any{}
	for _, a := range list {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			values[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			values[a.GetKey()] = v.IntValue
		case *commonpb.AnyValue_BoolValue:
			values[a.GetKey()] = v.BoolValue
		default:
			values[a.GetKey()] = a.GetValue()
		}
	}
	return values
}

// startTracing starts tracing with the variables, beside the collector's endpoint, and ends it with the test.
func startTracing(t *testing.T, endpoint string, log *slog.Logger, variables map[string]string) *telemetry.Tracing {
	t.Helper()
	c := loadConfig(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "SERVICE_NAME": "shop", "SERVICE_VERSION": "v1",
	}, variables)
	tracing, err := telemetry.StartTracing(c, log)
	if err != nil || tracing == nil {
		t.Fatalf("got %v, %v", tracing, err)
	}
	t.Cleanup(tracing.Close)
	return tracing
}

func loadConfig(t *testing.T, environments ...map[string]string) telemetry.Config {
	t.Helper()
	lookup := func(name string) (value string, set bool) {
		for _, environment := range environments {
			if v, ok := environment[name]; ok {
				value, set = v, true
			}
		}
		return value, set
	}
	var c telemetry.Config
	if err := config.Load(lookup, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
