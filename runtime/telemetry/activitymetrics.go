//go:build !lambda.norpc

package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// activity are the metrics of what is not a record's: chores and HTTP requests.
type activity struct {
	runs     *prometheus.CounterVec
	failures *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	states   *prometheus.GaugeVec

	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	inFlight       *prometheus.GaugeVec
}

func newActivity() activity {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, labels)
	}
	return activity{
		runs:     counter("chore_runs_total", "Runs of a chore, failed ones included.", "program", "chore"),
		failures: counter("chore_errors_total", "Runs of a chore that failed.", "program", "chore"),
		seconds:  seconds("chore_duration_seconds", "Time of one run of a chore.", "program", "chore"),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "chore_state", Help: "How far a chore is behind, as it tells by itself.",
		}, []string{"program", "chore", "measure"}),
		requests:       counter("http_requests_total", "HTTP requests that were answered.", "service", "method", "route", "code"),
		requestSeconds: seconds("http_request_duration_seconds", "Time until an HTTP request was answered.", "service", "method", "route"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "HTTP requests that are being answered now.",
		}, []string{"service"}),
	}
}

func (a *activity) collectors() []prometheus.Collector {
	return []prometheus.Collector{a.runs, a.failures, a.seconds, a.states, a.requests, a.requestSeconds, a.inFlight}
}

// ExpectChore makes the series of a chore, so that an alert sees its first error as an increase.
func (m *Metrics) ExpectChore(program, chore string) {
	m.activity.runs.WithLabelValues(program, chore)
	m.activity.failures.WithLabelValues(program, chore)
	m.activity.seconds.WithLabelValues(program, chore)
}

// ChoreRan counts a run of a chore.
func (m *Metrics) ChoreRan(r ChoreRun) {
	m.activity.runs.WithLabelValues(r.Program, r.Chore).Inc()
	m.activity.seconds.WithLabelValues(r.Program, r.Chore).Observe(r.Took.Seconds())
	if r.Err != nil {
		m.activity.failures.WithLabelValues(r.Program, r.Chore).Inc()
	}
}

// ChoreMeasured sets how far a chore is behind.
func (m *Metrics) ChoreMeasured(s ChoreState) {
	for name, value := range s.Values {
		m.activity.states.WithLabelValues(s.Program, s.Chore, name).Set(value)
	}
}

// Answering counts a request of a service as being answered until the function that it returns is called.
func (m *Metrics) Answering(service string) (done func()) {
	gauge := m.activity.inFlight.WithLabelValues(service)
	gauge.Inc()
	return gauge.Dec
}

// Answered counts a request that was answered.
func (m *Metrics) Answered(r Request) {
	method, route := r.MethodName(), r.Route()
	m.activity.requests.WithLabelValues(r.Service, method, route, strconv.Itoa(r.Code)).Inc()
	m.activity.requestSeconds.WithLabelValues(r.Service, method, route).Observe(r.Took.Seconds())
}
