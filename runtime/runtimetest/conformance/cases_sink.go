package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// sinks: a record is finished when what it causes is acknowledged, and not before.
var sinks = []testCase{
	{"dead letter sink down", nil, letterSinkDown},
	{"readiness tells of a dead letter sink that is down", []Capability{Readiness}, letterSinkDownIsTold},
	{"emit sink down", nil, emitSinkDown},
	{"open circuit for longer than the retry budget", nil, openCircuit},
	{"open circuit lets one record try", []Capability{Circuits}, oneProbe},
	{"duplicate delivery with idempotency", []Capability{Idempotency}, duplicateDelivery},
	{"emit fails once with idempotency on", []Capability{Idempotency}, emitFailsOnce},
}

// breakTopic makes the cluster refuse what is written to a topic, for want of replicas, until the fault is removed.
func (s *stage) breakTopic(t *testing.T, topic string) *kfake.FaultHandle {
	t.Helper()
	return s.Embedded(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1})
}

// awaitRetry waits until more requests were refused than a sink makes before it gives up: what is refused is tried anew.
func awaitRetry(t *testing.T, down *kfake.FaultHandle) {
	t.Helper()
	runtimetest.Eventually(t, "a refused record to be tried anew", func() bool { return down.Hits() > 9 })
}

func letterSinkDown(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	down := s.breakTopic(t, s.letters)
	s.act(func(_ context.Context, c Call) error {
		if c.ID == eventID("a", 0) {
			return function.Permanent(errFails)
		}
		return nil
	})
	s.send(t, newEvents(2, "z", "a")...)
	s.start(t)
	s.awaitHandled(t, 2)
	awaitRetry(t, down)
	s.checkNotBeyond(t, 1)

	down.Remove()
	s.awaitEnds(t, s.in)
	s.checkCalls(t, eventID("a", 0), 1)
	s.checkOrder(t)
	if letters := s.Records(t, s.letters, 1); len(letters) != 1 {
		t.Errorf("%d dead letters, want 1", len(letters))
	}
}

func letterSinkDownIsTold(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	down := s.breakTopic(t, s.letters)
	addr := s.observe(t)
	s.act(func(context.Context, Call) error { return function.Permanent(errFails) })
	s.start(t)
	awaitReady(t, addr)
	s.send(t, newEvent("a", 0))
	awaitRed(t, addr)
	down.Remove()
	awaitReady(t, addr)
	s.awaitEnds(t, s.in)
}

// emitSinkDown has a function of a single attempt: what the sink fails at must not spend it.
func emitSinkDown(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.function().Attempts = 1
	down := s.breakTopic(t, s.out)
	s.send(t, newEvents(2, "a", "b")...)
	s.start(t)
	awaitRetry(t, down)
	s.checkNotBeyond(t, 0)
	down.Remove()
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 4)
	s.noLetters(t)
}

// openCircuit has a dependency that is down for more calls than a record has attempts.
func openCircuit(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.function().Attempts = 2
	s.program.Variables["BREAKER_FAILURE_THRESHOLD"] = "2"
	s.program.Variables["BREAKER_RECOVERY_TIMEOUT"] = "100ms"
	s.act(func(_ context.Context, c Call) error {
		if c.Key() == "a" && c.Nth <= 5 {
			return function.Unavailable("database", errFails)
		}
		return nil
	})
	s.send(t, newEvents(2, "a")...)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCalls(t, eventID("a", 0), 6)
	s.checkOrder(t)
	s.checkOutputs(t, 2)
	s.noLetters(t)
}

// oneProbe has a dependency that fails all who call it at first, and then three probes.
func oneProbe(t *testing.T, d Door) {
	const recovery = 500 * time.Millisecond
	s := newStage(t, d, 1)
	s.program.Variables["BREAKER_RECOVERY_TIMEOUT"] = recovery.String()
	down := &dependency{quiet: recovery / 2, last: time.Now().Add(time.Hour)}
	s.act(func(context.Context, Call) error { return down.call() })
	s.send(t, newEvents(1, keys(100)...)...)
	s.start(t)
	s.awaitHandled(t, 100)
	s.awaitEnds(t, s.in)
	if down.probes != 3 || down.together > 0 {
		t.Errorf("%d calls after the circuit had opened, of which %d ran together with another, want 3 one after the other", down.probes, down.together)
	}
	s.noLetters(t)
}

// dependency is down until it was probed three times. A call is a probe when, once, nobody had called for a while.
type dependency struct {
	quiet time.Duration

	mu sync.Mutex
	// last is when the last call began.
	last             time.Time
	opened           bool
	running          int
	probes, together int
}

func (p *dependency) call() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = p.opened || time.Since(p.last) > p.quiet
	p.last = time.Now()
	if p.opened && p.probes == 3 {
		return nil
	}
	if p.opened {
		p.probes++
		if p.running > 0 {
			p.together++
		}
	}
	p.running++
	p.mu.Unlock()
	<-time.After(20 * time.Millisecond) // whoever else may call does so meanwhile
	p.mu.Lock()
	p.running--
	return function.Unavailable("database", errFails)
}

func duplicateDelivery(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Idempotent = true
	s.send(t, newEvent("a", 0), newEvent("a", 0), newEvent("a", 1))
	first := s.start(t)
	s.awaitEnds(t, s.in)
	first.stop(t)
	s.sendTo(t, s.in, 0, newEvent("a", 0))
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCalls(t, eventID("a", 0), 1)
	s.checkCalls(t, eventID("a", 1), 1)
	s.outputs(t, 2)
}

func emitFailsOnce(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Idempotent = true
	down := s.breakTopic(t, s.out)
	s.send(t, newEvent("a", 0))
	s.start(t)
	awaitRetry(t, down)
	down.Remove()
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 1)
	s.noLetters(t)
}
