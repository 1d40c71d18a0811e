package telemetry_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/telemetry"
)

func TestMain(m *testing.M) {
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

func TestHealthIsReadyWhenEveryComponentIs(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	if err := h.Ready(); err != nil {
		t.Fatalf("without components: %v", err)
	}
	h.Set("smtp", errors.New("refused"))
	h.Set("broker", fs.ErrNotExist)
	err := h.Ready()
	if want := "broker: file does not exist; smtp: refused"; err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the component's error is not found with errors.Is")
	}
	var notReady *telemetry.NotReadyError
	if !errors.As(err, &notReady) || notReady.Conditions[1].Component != "smtp" {
		t.Errorf("got %#v", err)
	}
	h.Set("smtp", nil)
	h.Set("broker", nil)
	if err := h.Ready(); err != nil {
		t.Errorf("after all is well: %v", err)
	}
}

func TestHealthFollowsConsumers(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	ready := func(want bool, when string) {
		t.Helper()
		if err := h.Ready(); (err == nil) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	h.Expect("orders")
	ready(false, "before the group is joined")
	h.Joined("orders")
	ready(true, "joined")
	h.Joined("orders")
	h.Left("orders")
	ready(true, "one of two members left")
	h.Left("orders")
	ready(false, "both left")
	h.Left("orders")
	h.Joined("orders")
	ready(true, "joined after it left once too often")
}

func get(t *testing.T, handler http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return answer
}

func TestHealthzGivesTheFields(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	mux := telemetry.NewMux(h, prometheus.NewRegistry())
	h.SetTopics(4)
	h.Joined("orders")
	h.Joined("orders")
	h.Joined("users")
	h.SetProducer(func() bool { return true })

	answer := get(t, mux, http.MethodGet, "/healthz")
	want := `{"status":"healthy","details":{"connectedTopics":4,"activeConsumers":3,"producerConnected":true}}`
	if answer.Code != http.StatusOK || answer.Body.String() != want {
		t.Errorf("got %d %s, want %s", answer.Code, answer.Body, want)
	}

	h.Set("broker", errors.New("connection refused"))
	answer = get(t, mux, http.MethodGet, "/healthz")
	want = `{"status":"unhealthy","details":{"connectedTopics":4,"activeConsumers":3,"producerConnected":true,"error":"broker: connection refused"}}`
	if answer.Code != http.StatusOK || answer.Body.String() != want {
		t.Errorf("got %d %s, want 200, for a restart does not mend a broker, and %s", answer.Code, answer.Body, want)
	}
	if got := answer.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
}

func TestReadyzListsConditions(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	mux := telemetry.NewMux(h, prometheus.NewRegistry())
	if answer := get(t, mux, http.MethodGet, "/readyz"); answer.Code != http.StatusOK || answer.Body.String() != `{"status":"ready"}` {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
	h.Set("dead letters", errors.New(strings.Repeat("ä", 1<<20)))
	h.Expect("orders")
	answer := get(t, mux, http.MethodGet, "/readyz")
	want := `{"status":"not ready","conditions":[` +
		`{"component":"consumer group orders","error":"not a member of the group: joining, rebalancing or stopped"},` +
		`{"component":"dead letters","error":"` + strings.Repeat("ä", 512) + `…"}]}`
	if answer.Code != http.StatusServiceUnavailable || answer.Body.String() != want {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
}

func TestMuxAnswersReadersOnly(t *testing.T) {
	t.Parallel()
	mux := telemetry.NewMux(telemetry.NewHealth(), prometheus.NewRegistry())
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		for method, want := range map[string]int{
			http.MethodGet: 200, http.MethodHead: 200,
			http.MethodPost: 405, http.MethodPut: 405, http.MethodDelete: 405, http.MethodOptions: 405,
		} {
			if answer := get(t, mux, method, path); answer.Code != want {
				t.Errorf("%s %s: got %d, want %d", method, path, answer.Code, want)
			}
		}
	}
	if answer := get(t, mux, http.MethodGet, "/"); answer.Code != http.StatusNotFound {
		t.Errorf("/: got %d", answer.Code)
	}
}

func TestAnOpenCircuitIsToldAndLeavesTheProcessReady(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	mux := telemetry.NewMux(h, prometheus.NewRegistry())
	h.SetCircuits(func() map[string]string { return map[string]string{"smtp": "open", "db": "closed"} })
	answer := get(t, mux, http.MethodGet, "/readyz")
	if want := `{"status":"ready","circuits":{"db":"closed","smtp":"open"}}`; answer.Code != http.StatusOK || answer.Body.String() != want {
		t.Errorf("got %d %s, want %s", answer.Code, answer.Body, want)
	}
	answer = get(t, mux, http.MethodGet, "/healthz")
	want := `{"status":"healthy","details":{"connectedTopics":0,"activeConsumers":0,"producerConnected":false,"circuits":{"db":"closed","smtp":"open"}}}`
	if answer.Body.String() != want {
		t.Errorf("got %s, want %s", answer.Body, want)
	}
	h.Expect("orders")
	if answer := get(t, mux, http.MethodGet, "/readyz"); !strings.HasSuffix(answer.Body.String(), `}],"circuits":{"db":"closed","smtp":"open"}}`) {
		t.Errorf("got %s", answer.Body)
	}
}
