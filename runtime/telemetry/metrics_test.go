package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

func spec(name, topic, group string, emits ...string) function.Spec {
	return function.Spec{
		Name: name, Topic: topic, Group: group, Emits: emits,
		New: func(function.Lookup) (function.Handler, error) { return function.Route(), nil },
	}
}

func newMetrics(t testing.TB, specs ...function.Spec) (*telemetry.Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	m, err := telemetry.NewMetrics(registry, specs...)
	if err != nil {
		t.Fatal(err)
	}
	return m, registry
}

func newEvent(id, eventType string) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetType(eventType)
	e.SetSource("/shop")
	return e
}

func record(topic string) *pipeline.Record {
	return &pipeline.Record{Topic: topic, Partition: 2, Offset: 1234}
}

// counts returns the samples of the named metrics that are not 0, as the text format writes them.
func counts(t *testing.T, registry *prometheus.Registry, names ...string) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			if value == 0 || !strings.Contains(strings.Join(names, " "), family.GetName()) {
				continue
			}
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			lines = append(lines, fmt.Sprintf("%s{%s} %g", family.GetName(), strings.Join(labels, " "), value))
		}
	}
	return strings.Join(lines, "\n")
}

func TestMetricsCountOutcomes(t *testing.T) {
	t.Parallel()
	placed := newEvent("1", "placed")
	failure := errors.New("refused")
	base := func(change func(*pipeline.Outcome)) *pipeline.Outcome {
		o := &pipeline.Outcome{Function: "mailer", Group: "mail", Record: record("orders"), Event: placed, Attempt: 1, Took: time.Millisecond}
		change(o)
		return o
	}
	tests := []struct {
		name    string
		outcome *pipeline.Outcome
		want    string
	}{
		{"done", base(func(o *pipeline.Outcome) { o.Emitted = []event.Event{newEvent("2", "sent"), newEvent("3", "sent")} }), `
kafka_events_emitted_total{mail mailer orders sent} 2
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_messages_consumed_total{mail mailer done orders} 1`},
		{"an emitted type that the Spec does not name", base(func(o *pipeline.Outcome) { o.Emitted = []event.Event{newEvent("2", "made-up")} }), `
kafka_events_emitted_total{mail mailer orders other} 1
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_messages_consumed_total{mail mailer done orders} 1`},
		{"dropped", base(func(o *pipeline.Outcome) { o.Verdict, o.Err = function.Dropped, function.Drop("seen") }), `
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_messages_consumed_total{mail mailer dropped orders} 1`},
		{"unaccepted", base(func(o *pipeline.Outcome) { o.Function, o.Attempt, o.Verdict = "", 0, function.Dropped }), `
kafka_messages_consumed_total{mail none unaccepted orders} 1`},
		{"retry", base(func(o *pipeline.Outcome) { o.Verdict, o.Err = function.Retry, failure }), `
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_processing_errors_total{error mail mailer orders} 1
kafka_retries_total{mail mailer orders} 1`},
		{"panic", base(func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.Retry, function.RetryAfter(time.Second, &function.PanicError{Value: "x"})
		}), `
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_processing_errors_total{panic mail mailer orders} 1
kafka_retries_total{mail mailer orders} 1`},
		{"time-out", base(func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.Retry, fmt.Errorf("slow: %w", context.DeadlineExceeded)
		}), `
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_processing_errors_total{timeout mail mailer orders} 1
kafka_retries_total{mail mailer orders} 1`},
		{"the last attempt", base(func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.DeadLetter, &function.PermanentError{Class: function.ClassExhausted, Err: failure}
		}), `
kafka_dead_letters_total{exhausted mail mailer orders} 1
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_messages_consumed_total{mail mailer dead-letter orders} 1
kafka_processing_errors_total{error mail mailer orders} 1`},
		{"an error class that a function made up", base(func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.DeadLetter, &function.PermanentError{Class: "made-up", Err: failure}
		}), `
kafka_dead_letters_total{other mail mailer orders} 1
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_messages_consumed_total{mail mailer dead-letter orders} 1
kafka_processing_errors_total{other mail mailer orders} 1`},
		{"undecodable", base(func(o *pipeline.Outcome) {
			o.Function, o.Attempt, o.Event, o.Verdict = "", 0, event.Event{}, function.DeadLetter
			o.Err = &function.PermanentError{Class: function.ClassUndecodable, Err: failure}
		}), `
kafka_dead_letters_total{undecodable mail none orders} 1
kafka_messages_consumed_total{mail none dead-letter orders} 1
kafka_processing_errors_total{undecodable mail none orders} 1`},
		{"a dependency is down", base(func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.Broken, function.Unavailable("smtp", failure)
		}), `
kafka_handler_duration_seconds{mail mailer orders} 1
kafka_unavailable_total{mail smtp mailer orders} 1`},
		{"a circuit is open", base(func(o *pipeline.Outcome) {
			o.Attempt, o.Took, o.Verdict = 0, 0, function.Broken
			o.Err = &function.WaitError{Circuit: "smtp", Err: failure}
		}), "\n"},
		{"a dead letter written at a later try, without an attempt", base(func(o *pipeline.Outcome) {
			o.Took, o.Verdict, o.Err = 0, function.DeadLetter, function.Permanent(failure)
		}), `
kafka_dead_letters_total{permanent mail mailer orders} 1
kafka_messages_consumed_total{mail mailer dead-letter orders} 1
kafka_processing_errors_total{permanent mail mailer orders} 1`},
		{"a foreign topic", base(func(o *pipeline.Outcome) { o.Record = record("theirs") }), `
kafka_handler_duration_seconds{other other other} 1
kafka_messages_consumed_total{other other done other} 1`},
	}
	names := "kafka_messages_consumed_total kafka_processing_errors_total kafka_retries_total kafka_dead_letters_total " +
		"kafka_unavailable_total kafka_events_emitted_total kafka_handler_duration_seconds"
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, registry := newMetrics(t, spec("mailer", "orders", "mail", "sent"))
			m.Observe(test.outcome)
			if got := "\n" + counts(t, registry, names); got != test.want {
				t.Errorf("got:%s\nwant:%s", got, test.want)
			}
		})
	}
}

func TestMetricsTextFormat(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics(t, spec("mailer", "orders", "mail"))
	m.Observe(&pipeline.Outcome{Function: "mailer", Group: "mail", Record: record("orders")})
	want := `
# HELP kafka_messages_consumed_total Records that are finished, each counted once.
# TYPE kafka_messages_consumed_total counter
kafka_messages_consumed_total{consumer_group="mail",function="mailer",outcome="dead-letter",topic="orders"} 0
kafka_messages_consumed_total{consumer_group="mail",function="mailer",outcome="done",topic="orders"} 1
kafka_messages_consumed_total{consumer_group="mail",function="mailer",outcome="dropped",topic="orders"} 0
kafka_messages_consumed_total{consumer_group="mail",function="none",outcome="dead-letter",topic="orders"} 0
kafka_messages_consumed_total{consumer_group="mail",function="none",outcome="unaccepted",topic="orders"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kafka_messages_consumed_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func TestMetricsLag(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics(t, spec("mailer", "orders", "mail"))
	m.Lag("mail", "orders", 0, 7)
	m.Lag("mail", "orders", 1, math.MaxInt64)
	m.Lag("mail", "theirs", 0, 7)
	m.Released("mail", "orders", 1)
	if got, want := counts(t, registry, "kafka_consumer_lag"), "kafka_consumer_lag{mail 0 orders} 7"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMetricsFollowCircuits(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics(t, spec("mailer", "orders", "mail"))
	names := []string{"circuit_state", "circuit_openings_total"}
	for _, change := range []struct {
		to   breaker.State
		want string
	}{
		{breaker.Open, "circuit_openings_total{smtp} 1\ncircuit_state{smtp} 2"},
		{breaker.HalfOpen, "circuit_openings_total{smtp} 1\ncircuit_state{smtp} 1"},
		{breaker.Open, "circuit_openings_total{smtp} 2\ncircuit_state{smtp} 2"},
		{breaker.Closed, "circuit_openings_total{smtp} 2"}, // counts leaves out what is 0
	} {
		m.CircuitChanged(breaker.Change{Dependency: "smtp", To: change.to})
		if got := counts(t, registry, names...); got != change.want {
			t.Errorf("%s: got\n%s\nwant\n%s", change.to, got, change.want)
		}
	}
	for i := range 10_000 {
		m.CircuitChanged(breaker.Change{Dependency: fmt.Sprint(i), To: breaker.Open})
	}
	if got := series(t, registry); got >= 200 {
		t.Errorf("%d series", got)
	}
}

func TestMetricsInFlight(t *testing.T) {
	t.Parallel()
	mailer := spec("mailer", "orders", "mail")
	m, registry := newMetrics(t, mailer)
	failure := errors.New("refused")
	handle := m.InFlight(mailer)(func(context.Context, *pipeline.Delivery) error {
		if got, want := counts(t, registry, "kafka_records_in_flight"), "kafka_records_in_flight{mail mailer orders} 1"; got != want {
			t.Errorf("while the handler runs: %s, want %s", got, want)
		}
		return failure
	})
	if err := handle(t.Context(), nil); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if got := counts(t, registry, "kafka_records_in_flight"); got != "" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestMetricsRefuseWhatCannotWork(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	if _, err := telemetry.NewMetrics(registry, function.Spec{Name: "Not A Name"}); err == nil || !strings.Contains(err.Error(), "Not A Name") {
		t.Errorf("an incomplete Spec: %v", err)
	}
	if _, err := telemetry.NewMetrics(registry); err == nil {
		t.Error("registered twice")
	}
}

// series counts what a scrape carries: the lines of the text format that are not comments.
func series(t *testing.T, registry *prometheus.Registry) int {
	t.Helper()
	body := get(t, telemetry.NewMux(telemetry.NewHealth(), registry), http.MethodGet, "/metrics").Body.String()
	return strings.Count("\n"+body, "\nkafka_")
}

func TestMetricsSeriesAreBounded(t *testing.T) {
	t.Parallel()
	var specs []function.Spec
	for i := range 8 {
		specs = append(specs, spec(fmt.Sprintf("function-%d", i), fmt.Sprintf("topic-%d", i%4), fmt.Sprintf("group-%d", i%3), "sent", "failed"))
	}
	m, registry := newMetrics(t, specs...)
	for i := range 100_000 {
		strange := fmt.Sprintf("strange-%d", i)
		o := &pipeline.Outcome{
			Group: "group-0", Record: record("topic-0"), Event: newEvent(strange, strange),
			Verdict: function.Verdict(i % 5), Took: time.Millisecond, Emitted: []event.Event{newEvent(strange, strange)},
			Err: errors.Join(&function.PermanentError{Class: strange, Err: io.EOF}, function.Unavailable(strange, io.EOF)),
		}
		switch i % 4 {
		case 0:
			o.Function = "function-0"
		case 1:
			o.Function = strange
		case 2:
			o.Record, o.Group = record(strange), strange
		}
		m.Observe(o)
		m.Lag("group-0", strange, 0, 1)
	}
	if got := series(t, registry); got >= 1000 {
		t.Errorf("%d series", got)
	}
}

func TestMetricsConcurrently(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics(t, spec("mailer", "orders", "mail", "sent"))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 1000 {
				m.Observe(&pipeline.Outcome{
					Function: "mailer", Group: "mail", Record: record("orders"), Verdict: function.Verdict(i % 5),
					Err: function.Unavailable(fmt.Sprint(worker), io.EOF),
				})
				m.Lag("mail", "orders", int32(worker), int64(i))
				m.Released("mail", "orders", int32(worker))
			}
		})
	}
	group.Wait()
	if got := counts(t, registry, "kafka_retries_total"); got != "kafka_retries_total{mail mailer orders} 1600" {
		t.Error(got)
	}
}

func hotOutcome() *pipeline.Outcome {
	return &pipeline.Outcome{
		Function: "mailer", Group: "mail", Record: record("orders"), Event: newEvent("1", "placed"),
		Emitted: []event.Event{newEvent("2", "sent")}, Attempt: 1, Took: time.Millisecond,
	}
}

//nolint:paralleltest // testing.AllocsPerRun refuses to run beside others
func TestObserveDoesNotAllocate(t *testing.T) {
	m, _ := newMetrics(t, spec("mailer", "orders", "mail", "sent"))
	log := telemetry.NewOutcomeLog(telemetry.NewLogger(io.Discard, telemetry.Config{}))
	done, unaccepted := hotOutcome(), hotOutcome()
	unaccepted.Function, unaccepted.Verdict = "", function.Dropped
	log.Observe(unaccepted)
	for name, observe := range map[string]func(){
		"metrics, done":          func() { m.Observe(done) },
		"metrics, unaccepted":    func() { m.Observe(unaccepted) },
		"outcome log, done":      func() { log.Observe(done) },
		"outcome log, told once": func() { log.Observe(unaccepted) },
	} {
		if n := testing.AllocsPerRun(1000, observe); n != 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

func BenchmarkMetricsObserve(b *testing.B) {
	m, _ := newMetrics(b, spec("mailer", "orders", "mail", "sent"))
	o := hotOutcome()
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(o)
	}
}

func BenchmarkMetricsObserveParallel(b *testing.B) {
	m, _ := newMetrics(b, spec("mailer", "orders", "mail", "sent"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		o := hotOutcome()
		for pb.Next() {
			m.Observe(o)
		}
	})
}
