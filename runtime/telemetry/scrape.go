//go:build !lambda.norpc

package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes and scrapeTimeout bound the work that /metrics can be made to do.
const (
	maxScrapes    = 4
	scrapeTimeout = 10 * time.Second
)

// NewMux returns [NewHealthMux] with a third path, /metrics: what metrics gathers, for Prometheus.
func NewMux(health *Health, metrics prometheus.Gatherer) *http.ServeMux {
	mux := NewHealthMux(health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	}))
	return mux
}
