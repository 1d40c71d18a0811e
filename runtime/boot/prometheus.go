//go:build !lambda.norpc

package boot

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/telemetry"
)

// meter counts for Prometheus.
type meter struct {
	*telemetry.Metrics

	registry *prometheus.Registry
}

func newMeter(specs []function.Spec, _ *slog.Logger) (*meter, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := telemetry.NewMetrics(registry, specs...)
	return &meter{Metrics: metrics, registry: registry}, err
}

// mux returns what answers to probes and scrapes.
func (m *meter) mux(h *telemetry.Health) http.Handler { return telemetry.NewMux(h, m.registry) }
