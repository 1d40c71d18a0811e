package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

const (
	// longestRun is how long a run may take, so that one that hangs is noticed: chores should return after some seconds.
	longestRun = time.Minute
	// choreGrace is how long a chore may take at most to return when its context has ended; then it is left behind.
	choreGrace = 500 * time.Millisecond
	// choreReminder is how often it is told that a chore keeps failing.
	choreReminder = time.Minute
	// measureInterval is how often a chore is asked how far it is behind.
	measureInterval = 10 * time.Second
	// measureTimeout is how long it may take to tell.
	measureTimeout = 2 * time.Second
	// stackLimit bounds the stack of a panic in the log, in bytes.
	stackLimit = 4 << 10
)

// chore is a function.Chore with the function or service that it is of. No two runs of it overlap.
type chore struct {
	function.Chore

	program string
	// returned is closed when the last run has returned, nil before the first.
	returned chan struct{}
	// failures counts the failed runs since one that succeeded. told is when a failure was last written to the log.
	failures int
	told     time.Time
	// measured is when it was last asked how far it is behind.
	measured time.Time
}

// choresOf returns the chores of a handler, none where it is no function.Worker.
func choresOf(program string, handler any) ([]*chore, error) {
	worker, ok := handler.(function.Worker)
	if !ok {
		return nil, nil
	}
	var chores []*chore
	var problems []error
	for _, c := range worker.Chores() {
		c, err := c.Complete()
		if err == nil && slices.ContainsFunc(chores, func(other *chore) bool { return other.Name == c.Name }) {
			err = fmt.Errorf("chore %q: there are two of this name", c.Name)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", program, err))
			continue
		}
		chores = append(chores, &chore{Chore: c, program: program})
	}
	return chores, errors.Join(problems...)
}

// String names the chore in errors and readiness.
func (c *chore) String() string { return fmt.Sprintf("chore %s of %s", c.Name, c.program) }

// errTooLong says that a run took longer than one may.
var errTooLong = fmt.Errorf("the run was ended after %s: something that it waits for does not answer, or it does too much at once", longestRun)

// errNotReturned says that a run was left behind.
var errNotReturned = errors.New("the run before was left behind when its time was over, and has not returned: it must mind its context")

// run calls Run once. It returns when that does, or when ctx has ended and grace is over.
func (c *chore) run(ctx context.Context, publish function.Publish, grace time.Duration) error {
	if c.returned != nil {
		select {
		case <-c.returned:
		default:
			return errNotReturned
		}
	}
	returned := make(chan struct{})
	c.returned = returned
	result := make(chan error, 1)
	go func() {
		defer close(returned)
		result <- caught(func() error { return c.Run(ctx, publish) })
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result:
		return err
	case <-time.After(grace):
		return context.Cause(ctx)
	}
}

// caught calls a function and turns a panic into an error.
func caught(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			err = &function.PanicError{Value: v, Stack: stack[:min(len(stack), stackLimit)]}
		}
	}()
	return call()
}

// choreRunner runs the chores of a program, behind either door.
type choreRunner struct {
	log     *slog.Logger
	publish function.Publish
	counts  activity
	// grace is how long a run may take to return when its context has ended.
	grace time.Duration
	// report has readiness tell what keeps a chore from its work, or nil.
	report func(component string, err error)
}

// once runs a chore and tells what became of it. A run that was cut off, because ctx ended, has not failed; one that took longer
// than longestRun has.
func (r *choreRunner) once(ctx context.Context, c *chore) error {
	started := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, longestRun, errTooLong)
	defer cancel()
	err := c.run(bounded, r.publish, r.grace)
	if err != nil && ctx.Err() != nil {
		r.log.Warn("a chore was cut off: what is due waits for the next run", c.attrs("error", err)...)
		return nil
	}
	if err != nil && bounded.Err() != nil && !errors.Is(err, errTooLong) {
		err = fmt.Errorf("%w: %w", errTooLong, err)
	}
	r.counts.ChoreRan(telemetry.ChoreRun{Program: c.program, Chore: c.Name, Took: time.Since(started), Err: err})
	r.report(c.String(), err)
	r.tell(c, err)
	r.measure(ctx, c)
	return err
}

// measure asks the chore how far it is behind, unless it was asked lately.
func (r *choreRunner) measure(ctx context.Context, c *chore) {
	if c.Measure == nil || time.Since(c.measured) < measureInterval {
		return
	}
	c.measured = time.Now()
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	var values map[string]float64
	err := caught(func() (err error) {
		values, err = c.Measure(ctx)
		return err
	})
	if err != nil {
		r.log.Debug("how far a chore is behind is not known", c.attrs("error", err)...)
		return
	}
	r.counts.ChoreMeasured(telemetry.ChoreState{Program: c.program, Chore: c.Name, Values: values})
}

// tell writes a line for the first failure, for one in a minute while they go on, and for their end.
func (r *choreRunner) tell(c *chore, err error) {
	if err == nil {
		if c.failures > 0 {
			r.log.Info("a chore succeeds again", c.attrs("failures", c.failures)...)
		}
		c.failures = 0
		return
	}
	c.failures++
	if c.failures > 1 && time.Since(c.told) < choreReminder {
		return
	}
	c.told = time.Now()
	attrs := c.attrs("error", err, "failures", c.failures)
	if panicked, ok := errors.AsType[*function.PanicError](err); ok {
		attrs = append(attrs, "stack", string(panicked.Stack))
	}
	r.log.Error("a chore failed, it is tried again", attrs...)
}

// attrs are those of a line about the chore.
func (c *chore) attrs(more ...any) []any {
	return append([]any{"chore", c.Name, "program", c.program}, more...)
}

// publisher returns what chores publish with.
func publisher(sink *kafkasink.Sink) function.Publish {
	return func(ctx context.Context, topic string, events ...event.Event) []error {
		errs := sink.SendEach(ctx, outputs(topic, events)...)
		if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
			return errs
		}
		return nil
	}
}

func outputs(topic string, events []event.Event) []pipeline.Output {
	outs := make([]pipeline.Output, len(events))
	for i, e := range events {
		outs[i] = pipeline.Output{Topic: topic, Event: e}
	}
	return outs
}

// requireChoreTopics returns nil when the cluster has every topic that the chores publish to.
func requireChoreTopics(chores []*chore, sink *kafkasink.Sink) error {
	var problems []error
	for _, c := range chores {
		if err := sink.RequireTopics(c.Topics...); err != nil {
			problems = append(problems, fmt.Errorf("%s publishes: %w", c, err))
		}
	}
	return errors.Join(problems...)
}
