package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/telemetry"
)

func TestMetricsCountChores(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics(t)
	m.ExpectChore("shop", "outbox")
	m.ChoreRan(telemetry.ChoreRun{Program: "shop", Chore: "outbox", Took: time.Second})
	m.ChoreRan(telemetry.ChoreRun{Program: "shop", Chore: "outbox", Took: time.Second, Err: errors.New("no broker")})
	m.ChoreMeasured(telemetry.ChoreState{Program: "shop", Chore: "outbox", Values: map[string]float64{"waiting": 7}})
	want := `chore_duration_seconds{outbox shop} 2
chore_errors_total{outbox shop} 1
chore_runs_total{outbox shop} 2
chore_state{outbox waiting shop} 7`
	if got := counts(t, registry, "chore_duration_seconds", "chore_errors_total", "chore_runs_total", "chore_state"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMetricsCountRequests(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics(t)
	done := m.Answering("shop")
	m.Answering("shop")
	done()
	for _, r := range []telemetry.Request{
		{Service: "shop", Method: "GET", Pattern: "GET /orders/{id}", Code: 200},
		{Service: "shop", Method: "GET", Pattern: "/orders/{id}", Code: 404},
		{Service: "shop", Method: "POST", Code: 404},
		{Service: "shop", Method: "MADE-UP", Pattern: "example.org/", Code: 200},
	} {
		m.Answered(r)
	}
	want := `http_request_duration_seconds{GET /orders/{id} shop} 2
http_request_duration_seconds{POST other shop} 1
http_request_duration_seconds{other example.org/ shop} 1
http_requests_in_flight{shop} 1
http_requests_total{200 GET /orders/{id} shop} 1
http_requests_total{200 other example.org/ shop} 1
http_requests_total{404 GET /orders/{id} shop} 1
http_requests_total{404 POST other shop} 1`
	if got := counts(t, registry, "http_requests_total", "http_request_duration_seconds", "http_requests_in_flight"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEMFCountsChoresAndRequests(t *testing.T) {
	t.Parallel()
	schema := emfSchema(t)
	var out bytes.Buffer
	m := telemetry.NewEMF(&out, telemetry.Config{ServiceName: "shop"})
	m.ChoreRan(telemetry.ChoreRun{Program: "shop", Chore: "outbox", Took: time.Second})
	m.ChoreRan(telemetry.ChoreRun{Program: "shop", Chore: "outbox", Took: time.Second, Err: errors.New("no broker")})
	m.ChoreMeasured(telemetry.ChoreState{Program: "shop", Chore: "outbox", Values: map[string]float64{"waiting": 0, "oldest_seconds": 1.5}})
	m.Answering("shop")()
	for _, code := range []int{200, 404, 500, 503} {
		m.Answered(telemetry.Request{Service: "shop", Method: "GET", Pattern: "GET /orders/{id}", Code: code, Took: time.Second})
	}
	flush := func() []map[string]any {
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		return emfLines(t, schema, &out)
	}
	lines := flush()
	if len(lines) != 2 {
		t.Fatalf("lines %v", lines)
	}
	for i, want := range []map[string]any{
		{"service": "shop", "chore": "outbox", "chore_runs_total": 2.0, "chore_errors_total": 1.0, "chore_waiting": 0.0, "chore_oldest_seconds": 1.5},
		{"service": "shop", "route": "GET /orders/{id}", "http_requests_total": 4.0, "http_client_errors_total": 1.0, "http_server_errors_total": 2.0},
	} {
		for name, value := range want {
			if lines[i][name] != value {
				t.Errorf("%s is %v, want %v", name, lines[i][name], value)
			}
		}
	}
	if again := flush(); len(again) != 0 {
		t.Errorf("told twice: %v", again)
	}
}

func TestASpanOfARequest(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracing := startTracing(t, c.URL, quiet(), nil)
	var inside function.Trace
	for _, tc := range []telemetry.Request{
		{Service: "shop", Method: "POST", Pattern: "POST /orders/{id}/payment", Code: 500},
		{Service: "shop", Method: "GET", Code: 404},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tc.Method, "/orders/someones-name/payment", nil)
		r.Header.Set("Traceparent", headerTrace)
		ctx, end := tracing.StartRequest(t.Context(), r)
		inside = function.TraceFrom(ctx)
		end(tc)
	}
	tracing.Close()
	spans := c.spans()
	failed, missing := spans["POST /orders/{id}/payment"], spans["GET"]
	if len(failed) != 1 || len(missing) != 1 {
		t.Fatalf("spans %v", spans)
	}
	if got := failed[0]; got.GetKind() != tracepb.Span_SPAN_KIND_SERVER || got.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR || strings.Contains(got.String(), "someones-name") {
		t.Errorf("span %v", got)
	}
	if got := missing[0]; got.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("span %v", got)
	}
	if inside.ID() != headerTrace[3:35] || inside.Parent == headerTrace {
		t.Errorf("events of the request carry %s", inside.Parent)
	}
}

func TestWithoutTracingARequestKeepsItsTrace(t *testing.T) {
	t.Parallel()
	var tracing *telemetry.Tracing
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Traceparent", headerTrace)
	ctx, end := tracing.StartRequest(context.Background(), r)
	end(telemetry.Request{})
	if got := function.TraceFrom(ctx).Parent; got != headerTrace {
		t.Errorf("got %s", got)
	}
}
