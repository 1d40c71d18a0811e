package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// lambdaDoor is the door of a process that Lambda freezes between invocations. It implements lambda.Handler.
//
// What it needs is connected before the first invocation is asked for, and kept. Everything that a function returned, and
// every dead letter, is acknowledged before the answer of its invocation: nothing is pending while the process is frozen.
type lambdaDoor struct {
	*process

	// trigger is nil in a program of a service, url in one of functions.
	trigger *msktrigger.Trigger
	url     *functionURL
	runner  *choreRunner
	// sink is nil where what would be published is printed, and in a program of a service, which has late.
	sink *kafkasink.Sink
	late *lateSink
	// connections are those of the sink, whichever it is.
	connections *kafkaclient.Connections
	requests    *requests
	metrics     *telemetry.EMF
	// prints says that what would be published is printed.
	prints bool
	// warned is for what is warned of once, at the first invocation: whoever reads it reads what came of that, too.
	warned sync.Once

	// listen has the process listen to signals, at its first call.
	listen func()
	// running is held by invocations for reading, and by who ends the process.
	running sync.RWMutex
	// awake is when the last invocation ended.
	awake moment
}

// runOnLambda is [Run] for Lambda, whose interface is at api.
func runOnLambda(ctx context.Context, api string, lookup function.Lookup, specs []function.Spec, o *Options) error {
	d, err := newLambdaDoor(ctx, lookup, specs, o)
	if err != nil {
		return errors.Join(err, reportStart(ctx, api, err))
	}
	d.serve(ctx, o)
	return d.close()
}

func newLambdaDoor(ctx context.Context, lookup function.Lookup, specs []function.Spec, o *Options) (*lambdaDoor, error) {
	s, platform, err := loadOnLambda(lookup, len(o.Services))
	program, buildErr := build(lookup, specs, o.Services)
	if err := errors.Join(err, buildErr, platform.requireBrokers(lookup, program), oneDoor(program)); err != nil {
		return nil, errors.Join(err, program.close())
	}
	s.name(program)
	collectWithin(lookup, platform.MemoryMB<<20)
	d := &lambdaDoor{requests: &requests{}, metrics: telemetry.NewEMF(os.Stdout, s.Telemetry), awake: now()}
	log := d.requests.logger(o.logger(s))
	d.process = &process{
		program:   program,
		settings:  s,
		log:       log,
		circuits:  breaker.NewSet(s.Breaker.options(log, d.metrics.CircuitChanged)),
		observers: append([]pipeline.Observer{d.metrics, telemetry.NewOutcomeLog(log)}, o.Observers...),
		counts:    d.metrics,
		around:    func(function.Spec) []pipeline.Middleware { return nil },
	}
	// What uses the standard logs, as the client of Lambda does, writes the same kind of lines.
	slog.SetDefault(log)
	slog.SetLogLoggerLevel(slog.LevelError)
	if err := d.open(ctx, platform); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// oneDoor returns an error where a program is more than a trigger or a function URL can be in front of: a trigger polls as one
// consumer group.
func oneDoor(p *program) error {
	if len(p.services) > 1 || len(p.services) == 1 && len(p.functions) > 0 {
		return fmt.Errorf("a program on Lambda is one service, or functions: this one has %d services and %d functions: deploy each as a program of its own",
			len(p.services), len(p.functions))
	}
	groups := groupsOf(p.functions)
	if len(groups) < 2 {
		return nil
	}
	var list []string
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		var names []string
		for _, f := range groups[group] {
			names = append(names, f.Spec.Name)
		}
		list = append(list, fmt.Sprintf("%s (%s)", group, strings.Join(names, ", ")))
	}
	return fmt.Errorf("a program on Lambda is one consumer group, this one has %d: %s: deploy the functions of each group as a program of their own",
		len(groups), strings.Join(list, ", "))
}

// open connects what the door needs. What it opened before an error is for close.
func (d *lambdaDoor) open(ctx context.Context, platform *lambdaSettings) error {
	if err := d.trace(); err != nil {
		return err
	}
	d.runner = &choreRunner{log: d.log, counts: d.metrics, report: func(string, error) {}}
	out, err := d.outlet(platform)
	if err != nil {
		return err
	}
	if err := d.remember(ctx); err != nil {
		return err
	}
	for _, s := range d.services {
		d.url = &functionURL{handler: d.answering(s), log: d.log}
	}
	if len(d.functions) == 0 {
		return nil
	}
	line, err := d.pipeline(d.functions[0].Spec.Group, d.functions, out)
	if err != nil {
		return err
	}
	d.trigger = msktrigger.New(line, &msktrigger.Options{Workers: d.settings.Group.Workers, Log: d.log})
	if d.sink == nil {
		return nil
	}
	return requireOutputs(line, d.sink)
}

// outlet connects the sink, or returns a printer where nothing can be published. Where nothing has to be it returns nil.
func (d *lambdaDoor) outlet(platform *lambdaSettings) (*outlet, error) {
	s := d.settings
	switch {
	case !d.publishes():
		return nil, nil
	case platform.prints:
		d.prints = true
		p := &printer{out: os.Stdout}
		d.runner.publish = p.publish
		return &outlet{sink: p, letters: newLetters(s, p, ignore)}, nil
	}
	d.connections = kafkaclient.NewConnections()
	s.Kafka.Connections = d.connections
	var err error
	if len(d.functions) == 0 {
		d.late, err = d.openLate()
		if d.late != nil {
			d.runner.publish = d.late.publish
		}
		return nil, err
	}
	d.sink, err = kafkasink.Open(s.Kafka, s.Telemetry.ServiceName, s.sinkOptions())
	if err != nil {
		return nil, err
	}
	d.runner.publish = publisher(d.sink)
	if err := requireChoreTopics(d.chores, d.sink); err != nil {
		return nil, err
	}
	return &outlet{sink: d.sink, letters: newLetters(s, d.sink, ignore)}, requireLetters(s, d.sink)
}

// ignore is told what becomes of dead letters: nobody asks a program on Lambda whether it is ready.
func ignore(error) {}

// close ends the connections that the door keeps.
func (d *lambdaDoor) close() error {
	var err error
	if d.sink != nil {
		err = d.sink.Close()
	}
	if d.late != nil {
		err = d.late.close()
	}
	return errors.Join(err, d.process.close())
}

// delivery is how long a process that is told to end while an invocation runs lives on when that returned: the client then
// delivers the answer, and does not tell when it has.
const delivery = 250 * time.Millisecond

// deaf is for how long a program that has no event yet does not listen to signals. To listen takes a thread and a twentieth of the
// start, while nothing runs yet that would have to be waited for.
const deaf = 50 * time.Millisecond

// serve serves invocations until ctx ends, or a signal comes where o says so, and none runs. The client goes on to wait for the
// next.
func (d *lambdaDoor) serve(ctx context.Context, o *Options) {
	if o.Started != nil {
		o.Started()
	}
	end := make(chan (<-chan struct{}), 1)
	d.listen = sync.OnceFunc(func() { end <- o.until(ctx).Done() })
	go lambda.StartWithOptions(d, lambda.WithContext(context.WithoutCancel(ctx)))
	if o.signals {
		time.Sleep(deaf)
	}
	d.listen()
	<-<-end
	if idle := d.running.TryLock(); !idle {
		d.running.Lock()
		time.Sleep(delivery)
	}
}

// Invoke handles one event: the records of a trigger, of which it returns those that are not finished, a request to a function URL,
// or what a schedule sends. Chores run before the answer: afterwards the process is frozen.
func (d *lambdaDoor) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	d.listen()
	d.running.RLock()
	defer d.running.RUnlock()
	d.requests.begin(ctx)
	d.thaw()
	defer func() { d.awake = now() }()
	d.warned.Do(func() { d.warn(ctx) })
	answer, err := d.answer(ctx, payload)
	d.flush(ctx)
	return answer, err
}

// answer handles the event and runs the chores. Where that was all that it asked for, their errors are the answer's.
func (d *lambdaDoor) answer(ctx context.Context, payload []byte) (answer []byte, err error) {
	switch {
	case isScheduled(payload):
		return []byte("{}"), d.runChores(ctx)
	case d.url != nil:
		return d.answerRequest(ctx, payload)
	default:
		answer, err = d.trigger.Invoke(ctx, payload)
		d.metrics.HandedBack(bytes.Count(answer, []byte(`"itemIdentifier"`)))
	}
	_ = d.runChores(ctx) // their errors were told; the event was handled nevertheless
	return answer, err
}

// behindRequest is how long the chores behind a request may hold its answer back, all together. What they leave is for those
// behind the next one, and for a schedule.
const behindRequest = 2 * time.Second

// answerRequest answers a request to a function URL, and runs the chores where it may have left them something to do.
func (d *lambdaDoor) answerRequest(ctx context.Context, payload []byte) ([]byte, error) {
	answer, changes, err := d.url.Invoke(ctx, payload)
	if changes {
		ctx, cancel := context.WithTimeout(ctx, behindRequest)
		defer cancel()
		_ = d.runChores(ctx) // as in answer
	}
	return answer, err
}

// runChores runs each chore once, one after the other, until shortly before the deadline of ctx.
func (d *lambdaDoor) runChores(ctx context.Context) error {
	ctx, margin, cancel := withMargin(ctx)
	defer cancel()
	d.runner.grace = min(choreGrace, margin/2)
	var problems []error
	for _, c := range d.chores {
		if err := d.runner.once(ctx, c); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", c, err))
		}
	}
	return errors.Join(problems...)
}

const (
	// answerMargin is how long before the deadline of an invocation requests and chores have to be done, so that the answer is
	// still given.
	answerMargin = time.Second
	// marginPart is the part of its time that an invocation keeps as its margin at most.
	marginPart = 5
)

// withMargin returns a context that ends before the deadline of ctx, and by how much.
func withMargin(ctx context.Context) (context.Context, time.Duration, context.CancelFunc) {
	margin := answerMargin
	deadline, ok := ctx.Deadline()
	if !ok {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, margin, cancel
	}
	margin = min(margin, max(time.Until(deadline), 0)/marginPart)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-margin))
	return ctx, margin, cancel
}

// flush writes metrics and sends spans: a process that is frozen does neither. They are lost rather than the answer.
func (d *lambdaDoor) flush(ctx context.Context) {
	d.tracing.Flush(ctx)
	if err := d.metrics.Flush(); err != nil {
		d.log.ErrorContext(ctx, "metrics are lost", "error", err)
	}
}

// longestSleep is after how long without an invocation connections are made anew. What lies between may have forgotten
// them, a network address translation after some minutes, and a request on one that is forgotten waits for its time-out.
const longestSleep = time.Minute

// thaw cuts connections that were not used for long.
func (d *lambdaDoor) thaw() {
	if d.connections != nil && now().since(d.awake) > longestSleep {
		d.connections.Cut()
	}
}

// moment is a time by the wall clock: the monotonic one may stand still while the process is frozen.
type moment time.Time

func now() moment { return moment(time.Now().Round(0)) }

func (m moment) since(earlier moment) time.Duration { return time.Time(m).Sub(time.Time(earlier)) }

func (d *lambdaDoor) warn(ctx context.Context) {
	if d.prints {
		d.log.Warn("KAFKA_BROKERS is not set: nothing is published; events and dead letters are printed to standard output")
	}
	d.warnOfAttempts(ctx)
}

// warnOfAttempts warns where the waits between the attempts of a record alone take longer than an invocation may, and
// nothing counts attempts from one invocation to the next.
func (d *lambdaDoor) warnOfAttempts(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	if !ok || d.ledger != nil {
		return
	}
	remaining := time.Until(deadline)
	for _, f := range d.functions {
		if waits := d.settings.Retry.longest(f.Spec.Attempts); waits > remaining {
			d.log.WarnContext(ctx, "the attempts of a record do not fit into an invocation: one that keeps failing is handed back, "+
				"and its attempts are forgotten; raise the function's time-out, lower RETRY_FIRST_DELAY or RETRY_MAX_DELAY, or set IDEMPOTENCY_STORE",
				"function", f.Spec.Name, "attempts", f.Spec.Attempts, "waits", waits, "remaining", remaining)
		}
	}
}
