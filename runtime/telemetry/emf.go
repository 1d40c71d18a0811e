package telemetry

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// The dimensions of the metrics.
const (
	dimensionService    = "service"
	dimensionFunction   = "function"
	dimensionDependency = "dependency"
	dimensionChore      = "chore"
	dimensionRoute      = "route"
)

// EMF counts the outcomes of pipelines for CloudWatch, in the embedded metric format: lines of JSON in the log of a Lambda
// function, from which CloudWatch makes metrics. It is a pipeline.Observer. Its methods may be called concurrently.
//
// The names are those of [Metrics]; each number counts since the line before, so add them up (the statistic Sum). What did
// not happen is not written.
//
//	with the dimensions service and function
//	kafka_messages_consumed_total     records that are finished, each once: the sum of the next four
//	kafka_messages_done_total         … by the function
//	kafka_messages_dropped_total      … on purpose, without an effect
//	kafka_messages_unaccepted_total   … because no function takes the type; function is "none"
//	kafka_dead_letters_total          … as dead letters; function is "none" where the record could not be decoded
//	kafka_retries_total               failed attempts that another follows
//	kafka_processing_errors_total     failed attempts
//	kafka_unavailable_total           attempts that found a dependency down
//	kafka_events_emitted_total        events that functions published
//	kafka_handler_duration_seconds    time of attempts, publishing included: a distribution, for percentiles
//
//	with the dimension service
//	kafka_messages_handed_back_total  records that an invocation did not finish and asked for again
//
//	with the dimensions service and dependency
//	circuit_openings_total            times that the circuit opened
//
//	with the dimensions service and chore
//	chore_runs_total                  runs of a chore, failed ones included
//	chore_errors_total                runs of a chore that failed
//	chore_duration_seconds            time of runs: a distribution
//	chore_…                           how far it is behind: for an outbox chore_waiting, chore_oldest_seconds, chore_stuck
//
//	with the dimensions service and route
//	http_requests_total               requests that were answered
//	http_client_errors_total          … with a status from 400 to 499
//	http_server_errors_total          … with a status from 500
//	http_request_duration_seconds     time until they were answered: a distribution
type EMF struct {
	w         io.Writer
	namespace string
	service   string
	now       func() time.Time

	mu         sync.Mutex
	functions  map[string]*functionCounts
	openings   map[string]int
	handedBack int
	chores     map[string]*choreCounts
	routes     map[string]*routeCounts
}

// functionCounts is what happened to a function's records since the last line.
type functionCounts struct {
	done, dropped, unaccepted, deadLetters int
	retries, errors, unavailable, emitted  int
	took                                   durations
}

// NewEMF returns an EMF that writes lines to w: standard output on Lambda, with nothing before or behind them. c tells
// namespace and service.
func NewEMF(w io.Writer, c Config) *EMF {
	return &EMF{
		w:         w,
		namespace: cmp.Or(c.MetricsNamespace, "millrace"),
		service:   dimensionValue(c.ServiceName),
		now:       time.Now,
		functions: map[string]*functionCounts{},
		openings:  map[string]int{},
		chores:    map[string]*choreCounts{},
		routes:    map[string]*routeCounts{},
	}
}

// Observe counts an outcome.
func (m *EMF) Observe(o *pipeline.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.of(o)
	if o.Took > 0 && o.Function != "" {
		c.took.add(o.Took)
	}
	c.emitted += len(o.Emitted)
	switch o.Verdict {
	case function.Done:
		c.done++
	case function.Dropped:
		if o.Function == "" {
			c.unaccepted++
		} else {
			c.dropped++
		}
	case function.Retry:
		c.retries++
		c.errors++
	case function.DeadLetter:
		c.deadLetters++
		c.errors++
	case function.Broken:
		if !isWait(o.Err) {
			c.unavailable++
		}
	}
}

func (m *EMF) of(o *pipeline.Outcome) *functionCounts {
	name := o.Function
	if name == "" {
		name = noFunction
	}
	c, ok := m.functions[name]
	if !ok {
		c = &functionCounts{}
		m.functions[name] = c
	}
	return c
}

// HandedBack counts records that an invocation did not finish and asked for again.
func (m *EMF) HandedBack(records int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handedBack += records
}

// CircuitChanged tells of a change of a circuit.
func (m *EMF) CircuitChanged(c breaker.Change) {
	if c.To != breaker.Open {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := c.Dependency
	if _, known := m.openings[name]; !known && len(m.openings) >= maxDependencies {
		name = other
	}
	m.openings[name]++
}

// Flush writes a line for each function, and for what else happened since the last time. Call it before each answer of a
// Lambda function. The error is that of the writer; what was to be written is then lost.
func (m *EMF) Flush() error {
	for _, line := range m.take() {
		if err := m.write(line); err != nil {
			return fmt.Errorf("embedded metrics: %w", err)
		}
	}
	return nil
}

// take returns the lines of what happened, and begins anew.
func (m *EMF) take() []*emfLine {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.now()
	var lines []*emfLine
	for _, name := range slices.Sorted(maps.Keys(m.functions)) {
		line := m.line(at, dimensionFunction, name)
		m.functions[name].write(line)
		lines = append(lines, line)
		*m.functions[name] = functionCounts{}
	}
	for _, dependency := range slices.Sorted(maps.Keys(m.openings)) {
		line := m.line(at, dimensionDependency, dependency)
		line.count("circuit_openings_total", m.openings[dependency])
		lines = append(lines, line)
		m.openings[dependency] = 0
	}
	lines = append(lines, m.takeActivity(at)...)
	line := m.line(at, "", "")
	line.count("kafka_messages_handed_back_total", m.handedBack)
	m.handedBack = 0
	return append(lines, line)
}

func (c *functionCounts) write(l *emfLine) {
	l.count("kafka_messages_consumed_total", c.done+c.dropped+c.unaccepted+c.deadLetters)
	l.count("kafka_messages_done_total", c.done)
	l.count("kafka_messages_dropped_total", c.dropped)
	l.count("kafka_messages_unaccepted_total", c.unaccepted)
	l.count("kafka_dead_letters_total", c.deadLetters)
	l.count("kafka_retries_total", c.retries)
	l.count("kafka_processing_errors_total", c.errors)
	l.count("kafka_unavailable_total", c.unavailable)
	l.count("kafka_events_emitted_total", c.emitted)
	l.seconds("kafka_handler_duration_seconds", &c.took)
}

// emfLine is a line in the making.
type emfLine struct {
	at        time.Time
	directive emfDirective
	// members are the dimensions and the metrics.
	members map[string]any
}

type emfDirective struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []emfMetric
}

type emfMetric struct {
	Name string
	Unit string
}

// line returns a line with the dimension service and, unless it is empty, another.
func (m *EMF) line(at time.Time, dimension, value string) *emfLine {
	l := &emfLine{at: at, members: map[string]any{dimensionService: m.service}}
	dimensions := []string{dimensionService}
	if dimension != "" {
		dimensions = append(dimensions, dimension)
		l.members[dimension] = dimensionValue(value)
	}
	l.directive = emfDirective{Namespace: m.namespace, Dimensions: [][]string{dimensions}}
	return l
}

// count adds a count, unless it is 0.
func (l *emfLine) count(name string, n int) {
	if n > 0 {
		l.add(name, "Count", n)
	}
}

// seconds adds a distribution, unless it is empty.
func (l *emfLine) seconds(name string, took *durations) {
	if took.count > 0 {
		l.add(name, "Seconds", took.distribution())
	}
}

func (l *emfLine) add(name, unit string, value any) {
	l.directive.Metrics = append(l.directive.Metrics, emfMetric{name, unit})
	l.members[name] = value
}

// write writes a line, unless it tells nothing.
func (m *EMF) write(l *emfLine) error {
	if len(l.directive.Metrics) == 0 {
		return nil
	}
	l.members["_aws"] = map[string]any{
		"Timestamp":         l.at.UnixMilli(),
		"CloudWatchMetrics": []emfDirective{l.directive},
	}
	text, err := json.Marshal(l.members, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		_, err = m.w.Write(append(text, '\n'))
	}
	return err
}

// dimensionValue returns text as CloudWatch takes the value of a dimension: 1 to 1,024 printable characters of ASCII that do
// not begin with a colon.
func dimensionValue(text string) string {
	const most = 1024
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	text, _ = cutText(strings.TrimLeft(text, ": "), most)
	if text == "" {
		return other
	}
	return text
}
