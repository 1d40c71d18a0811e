//go:build !lambda.norpc

package boot

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// groupDoor is the door of a process that lives: it takes part in consumer groups, answers the requests of services, and those
// of probes and Prometheus.
type groupDoor struct {
	*process

	// sink is what functions and chores publish to, late what the chores of a program of services only do. Both are nil where
	// nothing is published.
	sink    *kafkasink.Sink
	late    *lateSink
	publish function.Publish
	letters *letters
	monitor *monitor
	apis    []*apiServer
	server  *telemetry.Server
}

// runInGroups is [Run] for consumer groups and servers.
func runInGroups(ctx context.Context, lookup function.Lookup, specs []function.Spec, o *Options) error {
	s, err := load(lookup, len(o.Services))
	program, buildErr := build(lookup, specs, o.Services)
	if err := errors.Join(err, buildErr); err != nil {
		return errors.Join(err, program.close())
	}
	s.name(program)
	if o.owned {
		stop := collectGarbage(ctx, lookup)
		defer stop()
	}
	d, err := newGroupDoor(ctx, s, program, o)
	if err != nil {
		return err
	}
	return errors.Join(d.run(ctx), d.close())
}

func newGroupDoor(ctx context.Context, s *settings, program *program, o *Options) (*groupDoor, error) {
	log := o.logger(s)
	if o.owned {
		slog.SetDefault(log)
	}
	specs := specsOf(program.functions)
	metrics, err := newMeter(specs, log)
	if err != nil {
		return nil, errors.Join(err, program.close())
	}
	d := &groupDoor{monitor: newMonitor(metrics, specs, o.Started)}
	d.process = &process{
		program:   program,
		settings:  s,
		log:       log,
		circuits:  breaker.NewSet(s.Breaker.options(log, metrics.CircuitChanged)),
		observers: append([]pipeline.Observer{metrics, telemetry.NewOutcomeLog(log)}, o.Observers...),
		counts:    metrics,
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
func (d *groupDoor) open(ctx context.Context) error {
	if err := d.trace(); err != nil {
		return err
	}
	if err := d.openSink(); err != nil {
		return err
	}
	if err := d.remember(ctx); err != nil {
		return err
	}
	return d.listen()
}

// openSink connects what functions and chores publish to.
func (d *groupDoor) openSink() (err error) {
	if !d.publishes() {
		return nil
	}
	if len(d.functions) == 0 {
		return d.openLateSink()
	}
	s := d.settings
	d.sink, err = kafkasink.Open(s.Kafka, s.Telemetry.ServiceName, s.sinkOptions())
	if err != nil {
		return err
	}
	d.publish = publisher(d.sink)
	d.monitor.SetProducer(d.sink.Connected)
	if err := requireChoreTopics(d.chores, d.sink); err != nil {
		return err
	}
	d.letters = newLetters(s, d.sink, func(err error) { d.monitor.Set("dead letters", err) })
	return requireLetters(s, d.sink)
}

// openLateSink connects what the chores of services publish to, now or later.
func (d *groupDoor) openLateSink() (err error) {
	d.late, err = d.openLate()
	if d.late != nil {
		d.publish = d.late.publish
		d.monitor.SetProducer(d.late.connected)
	}
	return err
}

// listen opens the addresses of services, and that of probes.
func (d *groupDoor) listen() (err error) {
	for i, s := range d.services {
		server, err := listen(d.settings.serving.Addrs[i], d.answering(s))
		if err != nil {
			return err
		}
		d.apis = append(d.apis, server)
	}
	d.server, err = telemetry.NewServer(d.settings.Telemetry.HTTPAddr, d.monitor.mux(d.monitor.Health), d.log)
	return err
}

// close ends the connections that the door keeps.
func (d *groupDoor) close() error {
	for _, s := range d.apis {
		s.close()
	}
	var err error
	if d.sink != nil {
		err = d.sink.Close()
	}
	if d.late != nil {
		err = d.late.close()
	}
	return errors.Join(err, d.process.close())
}

// run works until ctx ends or something cannot start, and answers probes until the work has ended.
func (d *groupDoor) run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	probed, end := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() error { return d.server.Serve(probed) })
	running.Go(func() error {
		defer end()
		return d.work(ctx)
	})
	return running.Wait()
}

// errStopping keeps a process that drains from being ready: whoever balances load is to look elsewhere.
var errStopping = errors.New("it was told to stop")

// work runs chores, answers requests and takes part in every group until ctx ends or one of them cannot start. The chores end
// last.
func (d *groupDoor) work(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	stopped := make(chan time.Time, 1)
	context.AfterFunc(ctx, func() {
		d.monitor.Set("process", errStopping)
		stopped <- time.Now()
	})
	chores := d.startChores()
	for _, s := range d.apis {
		running.Go(func() error { return s.serve(ctx, d.settings.Group.DrainTimeout) })
	}
	groups := groupsOf(d.functions)
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		running.Go(func() error { return d.member(ctx, group, groups[group]) })
	}
	d.monitor.begin()
	err := running.Wait()
	chores.finish((<-stopped).Add(d.settings.Group.DrainTimeout))
	return err
}

// startChores starts the chores of functions and services.
func (d *groupDoor) startChores() *choreLoops {
	runner := &choreRunner{log: d.log, publish: d.publish, counts: d.counts, grace: choreGrace, report: d.reportChore}
	for _, c := range d.chores {
		d.monitor.ExpectChore(c.program, c.Name)
	}
	return startChores(runner, d.chores)
}

// reportChore has readiness tell what keeps a chore from its work. A program of services only is ready without Kafka: what it
// publishes waits in its outbox, and health says that the producer is not connected.
func (d *groupDoor) reportChore(component string, err error) {
	if len(d.functions) == 0 && isKafkaAway(err) {
		err = nil
	}
	d.monitor.Set(component, err)
}

// isKafkaAway tells whether err is that of a cluster that does not answer, and not that of a database.
func isKafkaAway(err error) bool {
	away, ok := errors.AsType[*function.UnavailableError](err)
	return ok && function.VerdictOf(err) == function.Broken && away.Dependency == kafkasink.Dependency
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
