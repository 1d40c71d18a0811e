// Package boot wires functions to the door they are run behind, from the environment: configuration, logs, metrics, the
// Kafka sink, dead letters, and a member of each consumer group. A function's program is one call of [Main].
//
// It may import every package of the runtime but those that are for tests.
package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// Options of Run. The zero value is the default.
type Options struct {
	// Log takes the log. Default: standard error, as LOG_LEVEL and LOG_FORMAT say.
	Log *slog.Logger
	// Observers are told of each outcome, after metrics and log.
	Observers []pipeline.Observer
	// Started is called once, when a member of every consumer group has joined.
	Started func()
}

// Run runs the functions, each in its consumer group, until ctx ends; then it drains, commits and returns nil. It
// returns an error when it cannot start: the environment or a Spec has problems (all of them are named), no broker
// answers, a topic does not exist, HTTP_ADDR is in use.
func Run(ctx context.Context, lookup function.Lookup, specs []function.Spec, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	s, err := load(lookup)
	functions, specErr := build(lookup, specs)
	if err := errors.Join(err, specErr); err != nil {
		return err
	}
	s.name(functions)
	log := o.Log
	if log == nil {
		log = telemetry.NewLogger(os.Stderr, s.Telemetry)
	}
	p, err := newProcess(ctx, s, functions, log, o)
	if err != nil {
		return err
	}
	return errors.Join(p.run(ctx, functions), p.close())
}

// build completes the Specs and makes their handlers.
func build(lookup function.Lookup, specs []function.Spec) ([]pipeline.Function, error) {
	if len(specs) == 0 {
		return nil, errors.New("there is no function to run")
	}
	functions := make([]pipeline.Function, len(specs))
	problems := make([]error, len(specs))
	for i, spec := range specs {
		functions[i], problems[i] = pipeline.Make(spec, lookup)
	}
	return functions, errors.Join(problems...)
}

// name fills in the service's name and version where the environment does not.
func (s *settings) name(functions []pipeline.Function) {
	if s.Telemetry.ServiceName == "" {
		s.Telemetry.ServiceName = "millrace"
		if len(functions) == 1 {
			s.Telemetry.ServiceName = functions[0].Spec.Name
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok && s.Telemetry.ServiceVersion == "" {
		s.Telemetry.ServiceVersion = info.Main.Version
	}
}

// process is what the functions of a program share.
type process struct {
	settings *settings
	log      *slog.Logger
	server   *telemetry.Server
	monitor  *monitor
	circuits *breaker.Set
	sink     *kafkasink.Sink
	letters  *letters
	// ledger is nil where handled events are not remembered.
	ledger    *idempotency.Ledger
	observers []pipeline.Observer
}

func newProcess(ctx context.Context, s *settings, functions []pipeline.Function, log *slog.Logger, o *Options) (*process, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	specs := make([]function.Spec, len(functions))
	for i, f := range functions {
		specs[i] = f.Spec
	}
	metrics, err := telemetry.NewMetrics(registry, specs...)
	if err != nil {
		return nil, err
	}
	p := &process{
		settings:  s,
		log:       log,
		monitor:   newMonitor(metrics, specs, o.Started),
		observers: append([]pipeline.Observer{metrics, telemetry.NewOutcomeLog(log)}, o.Observers...),
	}
	p.circuits = breaker.NewSet(s.Breaker.options(log, metrics))
	p.monitor.SetCircuits(p.circuits.States)
	p.sink, err = kafkasink.Open(s.Kafka, s.Telemetry.ServiceName, s.sinkOptions())
	if err != nil {
		return nil, err
	}
	p.monitor.SetProducer(p.sink.Connected)
	p.letters, err = newLetters(s, p.sink, p.monitor.Health)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.ledger, err = idempotency.Open(ctx, s.Idempotency, log)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.server, err = telemetry.NewServer(s.Telemetry.HTTPAddr, telemetry.NewMux(p.monitor.Health, registry), log)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// close ends the connections that the process keeps.
func (p *process) close() error {
	err := p.sink.Close()
	if p.ledger != nil {
		err = errors.Join(err, p.ledger.Close())
	}
	return err
}

// run serves HTTP and takes part in every group until ctx ends or one of them cannot start.
func (p *process) run(ctx context.Context, functions []pipeline.Function) error {
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return p.server.Serve(ctx) })
	groups := map[string][]pipeline.Function{}
	for _, f := range functions {
		groups[f.Spec.Group] = append(groups[f.Spec.Group], f)
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		running.Go(func() error { return p.member(ctx, group, groups[group]) })
	}
	return running.Wait()
}

// member takes part in one consumer group.
func (p *process) member(ctx context.Context, group string, functions []pipeline.Function) error {
	standard := middleware.WithCircuits(p.circuits, pipeline.Backoff{First: p.settings.Retry.First, Max: p.settings.Retry.Max})
	out, err := p.outlet(group)
	if err != nil {
		return err
	}
	line, err := pipeline.New(group, functions, out.sink, out.letters, &pipeline.Options{
		Transactional: out.stage != nil,
		Once:          p.once(),
		Middleware: func(spec function.Spec) []pipeline.Middleware {
			return append([]pipeline.Middleware{p.monitor.InFlight(spec)}, standard(spec)...)
		},
		Observers: p.observers,
	})
	if err == nil {
		err = p.take(ctx, line, out.stage)
	}
	return errors.Join(err, out.close())
}

// once returns the hook of what remembers handled events, nil where nothing does.
func (p *process) once() func(function.Spec) pipeline.Once {
	if p.ledger == nil {
		return nil
	}
	return p.ledger.Once
}

// take takes part in the consumer group of line.
func (p *process) take(ctx context.Context, line *pipeline.Pipeline, stage *consumergroup.Stage) error {
	if err := p.sink.RequireTopics(line.Outputs()...); err != nil {
		return fmt.Errorf("consumer group %s publishes: %w", line.Group(), err)
	}
	return consumergroup.Run(ctx, p.settings.Kafka, p.settings.Group, line,
		&consumergroup.Options{Log: p.log, Monitor: p.monitor, Stage: stage})
}

// monitor passes what consumers report on to health and metrics.
type monitor struct {
	*telemetry.Health
	*telemetry.Metrics

	started func()

	mu sync.Mutex
	// missing are the groups that were not joined yet.
	missing map[string]bool
}

func newMonitor(metrics *telemetry.Metrics, specs []function.Spec, started func()) *monitor {
	m := &monitor{Health: telemetry.NewHealth(), Metrics: metrics, started: started, missing: map[string]bool{}}
	topics := map[string]bool{}
	for _, spec := range specs {
		topics[spec.Topic], m.missing[spec.Group] = true, true
		m.Expect(spec.Group)
	}
	m.SetTopics(len(topics))
	return m
}

// Stuck has readiness name a partition that is not read, and why.
func (m *monitor) Stuck(group, topic string, partition int32, err error) {
	m.Set(fmt.Sprintf("%s/%d, read by %s", topic, partition, group), err)
}

// Committing has readiness say that commits fail.
func (m *monitor) Committing(group string, err error) { m.Set("commits of "+group, err) }

// Joined notes that a group was joined, for the first time or again.
func (m *monitor) Joined(group string) {
	m.Health.Joined(group)
	m.mu.Lock()
	last := m.missing[group] && len(m.missing) == 1
	delete(m.missing, group)
	m.mu.Unlock()
	if last && m.started != nil {
		m.started()
	}
}
