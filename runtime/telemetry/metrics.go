//go:build !lambda.norpc

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// The values of the label outcome.
const (
	outcomeDone       = "done"
	outcomeDropped    = "dropped"
	outcomeUnaccepted = "unaccepted"
	outcomeDeadLetter = "dead-letter"
)

// Metrics counts the outcomes of pipelines for Prometheus. It is a pipeline.Observer, and tells the lag as a consumer
// group's monitor. Its methods may be called concurrently.
//
//	kafka_messages_consumed_total{topic, consumer_group, function, outcome}   records that are finished, each once;
//	                              outcome is done, dropped, unaccepted (no function takes the type) or dead-letter
//	kafka_processing_errors_total{topic, consumer_group, function, class}     failed attempts
//	kafka_retries_total{topic, consumer_group, function}                      failed attempts that another follows
//	kafka_dead_letters_total{topic, consumer_group, function, class}          dead letters that were acknowledged
//	kafka_unavailable_total{topic, consumer_group, function, dependency}      attempts that found a dependency down
//	kafka_events_emitted_total{topic, consumer_group, function, type}         events that functions published
//	kafka_handler_duration_seconds{topic, consumer_group, function}           time of attempts, publishing included
//	kafka_records_in_flight{topic, consumer_group, function}                  attempts that run now
//	kafka_consumer_lag{topic, consumer_group, partition}                      records from the frontier to the end
//	circuit_state{dependency}                                                 0 closed, 1 half-open, 2 open
//	circuit_openings_total{dependency}                                        times that the circuit opened
//	chore_runs_total{program, chore}                                          runs of a chore, failed ones included
//	chore_errors_total{program, chore}                                        runs of a chore that failed
//	chore_duration_seconds{program, chore}                                    time of runs of a chore
//	chore_state{program, chore, measure}                                      how far a chore is behind: for an outbox waiting,
//	                                                                          oldest_seconds and stuck
//	http_requests_total{service, method, route, code}                         requests that were answered
//	http_request_duration_seconds{service, method, route}                     time until they were
//	http_requests_in_flight{service}                                          requests that are being answered
//
// Labels come from the Specs. What no Spec names (a foreign topic, an event type, an error class) is counted as "other",
// so that no producer can make series. The function of a record that has none is "none".
type Metrics struct {
	consumed    *prometheus.CounterVec
	errors      *prometheus.CounterVec
	retries     *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	unavailable *prometheus.CounterVec
	emitted     *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	inFlight    *prometheus.GaugeVec
	lag         *prometheus.GaugeVec
	circuits    *prometheus.GaugeVec
	openings    *prometheus.CounterVec
	activity    activity

	// series holds what an outcome counts with; foreign is for those that no Spec announced.
	series  map[seriesKey]*series
	foreign *series

	mu           sync.Mutex
	dependencies map[string]bool
}

// seriesKey is what an outcome is found by. The function is empty for records that have none.
type seriesKey struct{ group, topic, function string }

// series are the metrics of one key, resolved once: looking labels up costs more than counting.
type series struct {
	topic, group, function string

	// consumed and emitted are found by outcome and by event type.
	consumed map[string]prometheus.Counter
	emitted  map[string]prometheus.Counter
	retries  prometheus.Counter
	inFlight prometheus.Gauge
	// seconds is nil for records that have no function.
	seconds prometheus.Observer
}

// NewMetrics registers the metrics at registry, with series for the functions of specs. It returns an error when a Spec
// is not complete or registry has metrics of these names already.
func NewMetrics(registry prometheus.Registerer, specs ...function.Spec) (*Metrics, error) {
	m := newVectors()
	problems := m.register(registry)
	for _, spec := range specs {
		spec, err := spec.Complete()
		if err != nil {
			problems = append(problems, fmt.Errorf("metrics: %w", err))
			continue
		}
		m.announce(spec)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	m.foreign = m.newSeries(other, other, other)
	return m, nil
}

func newVectors() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		labels = append([]string{"topic", "consumer_group"}, labels...)
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"topic", "consumer_group", label})
	}
	return &Metrics{
		consumed:    counter("kafka_messages_consumed_total", "Records that are finished, each counted once.", "function", "outcome"),
		errors:      counter("kafka_processing_errors_total", "Attempts that failed.", "function", "class"),
		retries:     counter("kafka_retries_total", "Failed attempts that another one follows.", "function"),
		deadLetters: counter("kafka_dead_letters_total", "Dead letters that were acknowledged.", "function", "class"),
		unavailable: counter("kafka_unavailable_total", "Attempts that found a dependency down.", "function", "dependency"),
		emitted:     counter("kafka_events_emitted_total", "Events that functions published.", "function", "type"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kafka_handler_duration_seconds",
			Help:    "Time of one attempt, the publishing of its events included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"topic", "consumer_group", "function"}),
		inFlight: gauge("kafka_records_in_flight", "Attempts that run now.", "function"),
		lag:      gauge("kafka_consumer_lag", "Records of a partition from the first unfinished one to its end.", "partition"),
		circuits: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "circuit_state", Help: "The circuit of a dependency: 0 closed, 1 half-open, 2 open.",
		}, []string{"dependency"}),
		openings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "circuit_openings_total", Help: "Times that the circuit of a dependency opened, after a failed probe included.",
		}, []string{"dependency"}),
		activity:     newActivity(),
		series:       map[seriesKey]*series{},
		dependencies: map[string]bool{},
	}
}

func (m *Metrics) register(registry prometheus.Registerer) []error {
	var problems []error
	for _, c := range append(m.activity.collectors(),
		m.consumed, m.errors, m.retries, m.deadLetters, m.unavailable, m.emitted, m.seconds, m.inFlight, m.lag,
		m.circuits, m.openings,
	) {
		if err := registry.Register(c); err != nil {
			problems = append(problems, fmt.Errorf("metrics: %w", err))
		}
	}
	return problems
}

// announce makes the series of a function, and of the records on its topic that have none. Dead letters start at 0, so
// that an alert sees the first one as an increase.
func (m *Metrics) announce(spec function.Spec) {
	s := m.newSeries(spec.Topic, spec.Group, spec.Name, outcomeDone, outcomeDropped, outcomeDeadLetter)
	for _, t := range spec.Emits {
		s.emitted[t] = m.emitted.WithLabelValues(spec.Topic, spec.Group, spec.Name, t)
	}
	for _, class := range []string{classPermanent, function.ClassSchema, function.ClassExhausted, function.ClassOutput} {
		m.deadLetters.WithLabelValues(spec.Topic, spec.Group, spec.Name, class)
	}
	m.series[seriesKey{spec.Group, spec.Topic, spec.Name}] = s

	m.series[seriesKey{spec.Group, spec.Topic, ""}] = m.newSeries(spec.Topic, spec.Group, noFunction, outcomeUnaccepted, outcomeDeadLetter)
	m.deadLetters.WithLabelValues(spec.Topic, spec.Group, noFunction, function.ClassUndecodable)
}

func (m *Metrics) newSeries(topic, group, name string, outcomes ...string) *series {
	s := &series{
		topic: topic, group: group, function: name,
		consumed: map[string]prometheus.Counter{},
		emitted:  map[string]prometheus.Counter{},
		retries:  m.retries.WithLabelValues(topic, group, name),
	}
	for _, outcome := range outcomes {
		s.consumed[outcome] = m.consumed.WithLabelValues(topic, group, name, outcome)
	}
	if name != noFunction {
		s.seconds = m.seconds.WithLabelValues(topic, group, name)
		s.inFlight = m.inFlight.WithLabelValues(topic, group, name)
	}
	return s
}

func (m *Metrics) find(group, topic, name string) *series {
	if s, ok := m.series[seriesKey{group, topic, name}]; ok {
		return s
	}
	return m.foreign
}

// Observe counts an outcome.
func (m *Metrics) Observe(o *pipeline.Outcome) {
	s := m.find(o.Group, o.Record.Topic, o.Function)
	if o.Took > 0 && s.seconds != nil {
		s.seconds.Observe(o.Took.Seconds())
	}
	for i := range o.Emitted {
		m.countEmitted(s, o.Emitted[i].Type())
	}
	switch o.Verdict {
	case function.Done:
		m.finish(s, outcomeDone)
	case function.Dropped:
		m.finish(s, dropOutcome(o))
	case function.Retry:
		s.retries.Inc()
		m.countError(s, o.Err)
	case function.DeadLetter:
		m.finish(s, outcomeDeadLetter)
		m.countError(s, o.Err)
		m.deadLetters.WithLabelValues(s.topic, s.group, s.function, letterClass(o.Err)).Inc()
	case function.Broken:
		m.countUnavailable(s, o.Err)
	}
}

func dropOutcome(o *pipeline.Outcome) string {
	if o.Function == "" {
		return outcomeUnaccepted
	}
	return outcomeDropped
}

func (m *Metrics) finish(s *series, outcome string) {
	counter, ok := s.consumed[outcome]
	if !ok {
		counter = m.consumed.WithLabelValues(s.topic, s.group, s.function, outcome)
	}
	counter.Inc()
}

func (m *Metrics) countEmitted(s *series, eventType string) {
	counter, ok := s.emitted[eventType]
	if !ok {
		counter = m.emitted.WithLabelValues(s.topic, s.group, s.function, other)
	}
	counter.Inc()
}

func (m *Metrics) countError(s *series, err error) {
	m.errors.WithLabelValues(s.topic, s.group, s.function, errorClass(err)).Inc()
}

// countUnavailable counts an attempt that found a dependency down. A record that waits for something else, or for an open
// circuit, found nothing out.
func (m *Metrics) countUnavailable(s *series, err error) {
	if isWait(err) {
		return
	}
	label := other
	if unavailable, ok := errors.AsType[*function.UnavailableError](err); ok {
		label = m.dependency(unavailable.Dependency)
	}
	m.unavailable.WithLabelValues(s.topic, s.group, s.function, label).Inc()
}

// CircuitChanged tells of a change of a circuit.
func (m *Metrics) CircuitChanged(c breaker.Change) {
	label := m.dependency(c.Dependency)
	m.circuits.WithLabelValues(label).Set(float64(c.To))
	if c.To == breaker.Open {
		m.openings.WithLabelValues(label).Inc()
	}
}

// dependency returns the label of a dependency.
func (m *Metrics) dependency(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dependencies[name] {
		if len(m.dependencies) == maxDependencies {
			return other
		}
		m.dependencies[name] = true
	}
	return name
}

// InFlight returns a middleware that counts the running attempts of the function of spec. spec must be complete.
func (m *Metrics) InFlight(spec function.Spec) pipeline.Middleware {
	gauge := m.find(spec.Group, spec.Topic, spec.Name).inFlight
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) error {
			gauge.Inc()
			defer gauge.Dec()
			return next(ctx, d)
		}
	}
}

// Lag sets how many records lie between the first unfinished one of a partition and its end. A topic that no Spec of the
// group names is passed over.
func (m *Metrics) Lag(group, topic string, partition int32, records int64) {
	if _, ok := m.series[seriesKey{group, topic, ""}]; ok {
		m.lag.WithLabelValues(topic, group, strconv.Itoa(int(partition))).Set(float64(records))
	}
}

// Released removes the lag of a partition that another member takes over: the last value would stand for ever.
func (m *Metrics) Released(group, topic string, partition int32) {
	m.lag.DeleteLabelValues(topic, group, strconv.Itoa(int(partition)))
}
