package breaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/millrace/millrace/runtime/function"
)

const (
	// probeWait is how long a call waits at most while another one is the probe, and half of it at least.
	probeWait = 500 * time.Millisecond
	// jitter is the part of RecoveryTimeout over which those that wait for a probe come back.
	jitter = 20
	// maxCause bounds what is kept of the last failure, in bytes.
	maxCause = 1 << 10
)

// errUnknown ends a call that told nothing of its dependency.
var errUnknown = errors.New("the call told nothing of its dependency")

// Breaker is the circuit of one dependency. Get it from a [Set]. Its methods are safe for concurrent use.
type Breaker struct {
	dependency string
	options    *Options

	mu sync.Mutex
	// circuit is used with mu locked; it calls change.
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	// probing: a call is the probe of a half-open circuit.
	probing bool
	// failures is a ring of when the last FailureThreshold failures of the closed circuit ended; next is the oldest's place.
	failures []time.Time
	next     int
	// err is the last failure.
	err   error
	stats Stats
}

func newBreaker(dependency string, o *Options) *Breaker {
	b := &Breaker{
		dependency: dependency,
		options:    o,
		failures:   make([]time.Time, o.FailureThreshold),
		stats:      Stats{Dependency: dependency},
	}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   uint32(o.SuccessThreshold), //nolint:gosec // bounded by maxThreshold
		Timeout:       o.RecoveryTimeout,
		ReadyToTrip:   b.trips,
		OnStateChange: b.change,
		IsExcluded:    func(err error) bool { return errors.Is(err, errUnknown) },
	})
	return b
}

// trips notes a failure of the closed circuit and tells whether those in a row are enough to open it.
func (b *Breaker) trips(counts gobreaker.Counts) bool {
	b.failures[b.next] = b.stats.LastFailure
	b.next = (b.next + 1) % len(b.failures)
	oldest := b.failures[b.next]
	return int(counts.ConsecutiveFailures) >= b.options.FailureThreshold &&
		b.stats.LastFailure.Sub(oldest) <= b.options.MonitoringPeriod
}

// change notes that the circuit changed its state.
func (b *Breaker) change(_ string, from, to gobreaker.State) {
	c := Change{Dependency: b.dependency, From: stateOf(from), To: stateOf(to)}
	switch c.To {
	case Open:
		c.Failures, c.Err = 1, b.err
		if c.From == Closed {
			c.Failures = b.options.FailureThreshold
		}
		b.stats.Opened = time.Now()
		c.NextProbe = b.stats.Opened.Add(b.options.RecoveryTimeout)
		b.stats.Openings++
	case Closed:
		b.stats.Opened = time.Time{}
	case HalfOpen:
	}
	b.stats.NextProbe = c.NextProbe
	logChange(b.options, &c)
	b.options.OnChange(c)
}

// Dependency returns the name of what the circuit is about.
func (b *Breaker) Dependency() string { return b.dependency }

// Call is a call that a circuit let through. The first of its methods that is called ends it, the others then do nothing:
// a deferred Cancel makes sure that a probe's place is given back. One goroutine at a time may use it.
type Call struct {
	breaker *Breaker
	probe   bool
	// done is nil when the call has ended.
	done func(error)
}

// Allow lets a call through, or returns an *[OpenError].
func (b *Breaker) Allow() (*Call, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing {
		return nil, b.refuse()
	}
	done, err := b.circuit.Allow()
	if err != nil {
		return nil, b.refuse()
	}
	// Asking made the circuit half-open if its time has come. It stays so until the probe ends.
	b.probing = b.circuit.State() == gobreaker.StateHalfOpen
	return &Call{breaker: b, probe: b.probing, done: done}, nil
}

// refuse is the answer to a call that must wait. It differs from call to call, so that they do not come back all at once.
// It is called with mu locked.
func (b *Breaker) refuse() *OpenError {
	b.stats.Refused++
	e := &OpenError{Dependency: b.dependency, State: stateOf(b.circuit.State()), Cause: cause(b.err)}
	if e.State == HalfOpen {
		e.After = probeWait/2 + rand.N(probeWait/2)
		return e
	}
	// At NextProbe itself the circuit is still open.
	e.After = max(time.Until(b.stats.NextProbe), 0) + time.Nanosecond + rand.N(b.options.RecoveryTimeout/jitter+1)
	return e
}

// Breaker returns the circuit that let the call through.
func (c *Call) Breaker() *Breaker { return c.breaker }

// Succeed ends a call that the dependency answered.
func (c *Call) Succeed() { c.end(nil) }

// Fail ends a call that found the dependency down, as err says, which is not nil.
func (c *Call) Fail(err error) { c.end(err) }

// Cancel ends a call that told nothing of the dependency. If it was the probe, another call may be.
func (c *Call) Cancel() { c.end(errUnknown) }

func (c *Call) end(err error) {
	if c.done == nil {
		return
	}
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	done := c.done
	c.done = nil
	if c.probe {
		b.probing = false
	}
	switch {
	case err == nil:
		b.stats.Successes++
	case !errors.Is(err, errUnknown):
		b.stats.Failures++
		b.err = err
		b.stats.LastFailure = time.Now()
	}
	done(err)
}

// Expected tells whether err may come from a dependency that is well: it is nil, one of Options.ExpectedErrors, or the
// function's judgement of its event ([function.Permanent], [function.Drop]).
func (b *Breaker) Expected(err error) bool { return b.options.expected(err) }

// Do calls fn, unless the circuit is open: then it returns a *[function.WaitError] that wraps an *[OpenError], and a
// handler that returns it lets its record wait without spending an attempt.
//
// An error of fn that is not expected ([Breaker.Expected]) is a failure of the dependency: Do returns it as
// [function.Unavailable]. A call tells nothing of the dependency, and Do returns its error as it is, when ctx was
// cancelled, when fn panicked, and when fn has to wait for something else.
//
// Inside a handler that runs behind middleware.Breaker use another Set than the middleware's: with the same one each
// failure would count twice, and the middleware's probe would be refused here.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	call, err := b.Allow()
	if err != nil {
		return Wait(err)
	}
	defer call.Cancel()
	err = fn(ctx)
	if b.Expected(err) {
		call.Succeed()
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	if function.VerdictOf(err) != function.Broken {
		err = function.Unavailable(b.dependency, err)
	}
	if b.Blames(err) {
		call.Fail(err)
	}
	return err
}

// Blames tells whether err says that the dependency is down: a *[function.UnavailableError] of its name that is not
// expected.
func (b *Breaker) Blames(err error) bool {
	unavailable, ok := errors.AsType[*function.UnavailableError](err)
	return ok && unavailable.Dependency == b.dependency && !b.Expected(err)
}

// Wait turns an *[OpenError] into the outcome of an attempt that waits for the circuit. Other errors stay as they are.
func Wait(err error) error {
	open, ok := errors.AsType[*OpenError](err)
	if !ok {
		return err
	}
	return &function.WaitError{After: open.After, Circuit: open.Dependency, Err: open}
}

// State returns the state of the circuit now.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return stateOf(b.circuit.State())
}

// Stats returns what is known of the circuit now.
func (b *Breaker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	// The state goes first: asking for it may change the rest.
	b.stats.State = stateOf(b.circuit.State())
	counts := b.circuit.Counts()
	b.stats.ConsecutiveFailures, b.stats.ConsecutiveSuccesses = int(counts.ConsecutiveFailures), int(counts.ConsecutiveSuccesses)
	return b.stats
}

// cause is the text of a failure, bounded.
func cause(err error) string {
	if err == nil {
		return "none"
	}
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxCause)], "")
}
