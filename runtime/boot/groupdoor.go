package boot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// groupDoor is the door of a process that lives: it takes part in consumer groups, and answers to probes and Prometheus.
type groupDoor struct {
	*process

	sink    *kafkasink.Sink
	letters *letters
	monitor *monitor
	server  *telemetry.Server
}

// runInGroups is [Run] for consumer groups.
func runInGroups(ctx context.Context, lookup function.Lookup, specs []function.Spec, o *Options) error {
	s, err := load(lookup)
	functions, specErr := build(lookup, specs)
	if err := errors.Join(err, specErr); err != nil {
		return err
	}
	s.name(functions)
	d, err := newGroupDoor(ctx, s, functions, o)
	if err != nil {
		return err
	}
	return errors.Join(d.run(ctx), d.close())
}

func newGroupDoor(ctx context.Context, s *settings, functions []pipeline.Function, o *Options) (*groupDoor, error) {
	log := o.logger(s)
	metrics, err := newMeter(specsOf(functions), log)
	if err != nil {
		return nil, err
	}
	d := &groupDoor{monitor: newMonitor(metrics, specsOf(functions), o.Started)}
	d.process = &process{
		settings:  s,
		functions: functions,
		log:       log,
		circuits:  breaker.NewSet(s.Breaker.options(log, metrics.CircuitChanged)),
		observers: append([]pipeline.Observer{metrics, telemetry.NewOutcomeLog(log)}, o.Observers...),
		around: func(spec function.Spec) []pipeline.Middleware {
			return []pipeline.Middleware{metrics.InFlight(spec)}
		},
	}
	d.monitor.SetCircuits(d.circuits.States)
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// open connects what the door needs. What it opened before an error is for close.
func (d *groupDoor) open(ctx context.Context) (err error) {
	s := d.settings
	if err := d.trace(); err != nil {
		return err
	}
	d.sink, err = kafkasink.Open(s.Kafka, s.Telemetry.ServiceName, s.sinkOptions())
	if err != nil {
		return err
	}
	d.monitor.SetProducer(d.sink.Connected)
	if err := requireLetters(s, d.sink); err != nil {
		return err
	}
	d.letters = newLetters(s, d.sink, func(err error) { d.monitor.Set("dead letters", err) })
	if err := d.remember(ctx); err != nil {
		return err
	}
	d.server, err = telemetry.NewServer(s.Telemetry.HTTPAddr, d.monitor.mux(d.monitor.Health), d.log)
	return err
}

// close ends the connections that the door keeps.
func (d *groupDoor) close() error {
	err := d.process.close()
	if d.sink != nil {
		err = errors.Join(d.sink.Close(), err)
	}
	return err
}

// run serves HTTP and takes part in every group until ctx ends or one of them cannot start.
func (d *groupDoor) run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return d.server.Serve(ctx) })
	groups := groupsOf(d.functions)
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		running.Go(func() error { return d.member(ctx, group, groups[group]) })
	}
	return running.Wait()
}

// member takes part in one consumer group.
func (d *groupDoor) member(ctx context.Context, group string, functions []pipeline.Function) error {
	out, err := d.outlet(group)
	if err != nil {
		return err
	}
	defer out.close()
	line, err := d.pipeline(group, functions, out)
	if err != nil {
		return err
	}
	return d.take(ctx, line, out.stage)
}

// take takes part in the consumer group of line.
func (d *groupDoor) take(ctx context.Context, line *pipeline.Pipeline, stage *consumergroup.Stage) error {
	if err := requireOutputs(line, d.sink); err != nil {
		return err
	}
	return consumergroup.Run(ctx, d.settings.Kafka, d.settings.Group, line,
		&consumergroup.Options{Log: d.log, Monitor: d.monitor, Stage: stage})
}

// requireOutputs returns nil when the cluster has every topic that line publishes to.
func requireOutputs(line *pipeline.Pipeline, sink *kafkasink.Sink) error {
	if err := sink.RequireTopics(line.Outputs()...); err != nil {
		return fmt.Errorf("consumer group %s publishes: %w", line.Group(), err)
	}
	return nil
}
