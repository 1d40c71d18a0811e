package conformance

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// restarts: what a process leaves behind, cleanly or not.
var restarts = []testCase{
	{"middle fails while later succeed, then restart", nil, middleFails},
	{"finished records are not handled again after a restart", []Capability{Ranges}, finishedStayFinished},
	{"attempts counted across a kill between attempts", []Capability{Attempts}, attemptsAcrossKill},
	{"attempts counted across kills in attempts", []Capability{Attempts}, attemptsAcrossKills},
	{"attempts counted across a restart", []Capability{Attempts}, attemptsAcrossRestart},
	{"attempts counted across a restart, with idempotency", []Capability{Idempotency}, attemptsAcrossRestartOnce},
	{"crash between effect and completion", nil, crashAfterEffect},
	{"crash between effect and completion, with idempotency", []Capability{Idempotency}, crashAfterEffectOnce},
	{"shutdown in mid-batch", []Capability{Drain, Stops}, shutdownInMidBatch},
	{"finished but uncommitted when leaving", nil, uncommittedAtLeave},
	{"restart twice without progress", nil, noProgress},
	{"restart at a boundary", nil, restartAtBoundary},
}

// leaveSeventh has one of twenty records wait for ever, and stops when all others are handled.
func leaveSeventh(t *testing.T, d Door) *stage {
	t.Helper()
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.ID == eventID("a-07", 0) {
			return errStuck
		}
		return nil
	})
	s.send(t, newEvents(1, keys(20)...)...)
	first := s.start(t)
	s.awaitHandled(t, 19)
	s.awaitOffset(t, 0, 7)
	first.stop(t)
	s.awaitOffset(t, 0, 7)
	s.act(succeed)
	return s
}

func middleFails(t *testing.T, d Door) {
	s := leaveSeventh(t, d)
	s.start(t)
	s.awaitHandled(t, 20)
	s.awaitEnds(t, s.in)
	s.outputs(t, 20)
	s.noLetters(t)
}

func finishedStayFinished(t *testing.T, d Door) {
	s := leaveSeventh(t, d)
	s.start(t)
	s.awaitEnds(t, s.in)
	for _, key := range keys(20) {
		if key != "a-07" {
			s.checkCalls(t, eventID(key, 0), 1)
		}
	}
	s.checkOutputs(t, 20)
}

// attemptsAcrossKill kills while the record waits for its second attempt. A door that cannot know whether another attempt
// was under way may count one.
func attemptsAcrossKill(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.Process == 1 {
			return errStuck
		}
		return errFails
	})
	s.send(t, newEvent("a", 0))
	first := s.spawn(t)
	s.awaitCalls(t, eventID("a", 0), 1)
	runtimetest.Eventually(t, "a commit that knows the attempt", func() bool { return s.Commits(t, s.group, s.in)[0].Metadata != "" })
	first.kill()
	s.start(t)
	s.awaitEnds(t, s.in)
	if calls := len(s.journal.callsOf(eventID("a", 0))); calls < 2 {
		t.Errorf("%d calls of the handler, want another one after the first", calls)
	}
	s.checkCallsAtMost(t, 3)
	checkHeaders(t, s.Records(t, s.letters, 1)[0], map[string]string{deadletter.HeaderClass: function.ClassExhausted})
}

// attemptsAcrossKills kills in the middle of each attempt but the first, which nobody can know of.
func attemptsAcrossKills(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(ctx context.Context, c Call) error {
		if c.Nth == 2 {
			<-ctx.Done()
		}
		return errFails
	})
	s.send(t, newEvent("a", 0))
	first := s.spawn(t)
	s.awaitCalls(t, eventID("a", 0), 2)
	first.kill()
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCallsAtMost(t, 3)
	checkHeaders(t, s.Records(t, s.letters, 1)[0], map[string]string{deadletter.HeaderClass: function.ClassExhausted})
}

func attemptsAcrossRestart(t *testing.T, d Door) { newStage(t, d, 1).restartBetweenAttempts(t) }

func attemptsAcrossRestartOnce(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Idempotent = true
	s.restartBetweenAttempts(t)
}

// restartBetweenAttempts restarts the process after the first and the second attempt of a record, of which there are three.
func (s *stage) restartBetweenAttempts(t *testing.T) {
	t.Helper()
	s.act(func(context.Context, Call) error { return errStuck })
	s.send(t, newEvent("a", 0))
	for n := range 2 {
		p := s.start(t)
		s.awaitCalls(t, eventID("a", 0), n+1)
		p.stop(t)
	}
	s.act(func(context.Context, Call) error { return errFails })
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkExhausted(t)
}

// checkExhausted checks that event 0 of key a had three attempts, and the dead letter that it is worth.
func (s *stage) checkExhausted(t *testing.T) {
	t.Helper()
	s.checkCalls(t, eventID("a", 0), 3)
	checkHeaders(t, s.Records(t, s.letters, 1)[0], map[string]string{
		deadletter.HeaderClass: function.ClassExhausted, deadletter.HeaderRetries: "2", "ce_id": eventID("a", 0),
	})
}

// crashAfterEffect kills the process in the handler of one record, when others are on their way.
func crashAfterEffect(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.crashAt(t, eventID("b", 2))
	s.outputs(t, 15)
	s.checkOrder(t)
	s.noLetters(t)
}

func crashAfterEffectOnce(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Idempotent = true
	s.function().Timeout = 2 * time.Second // until the crashed handler's claim ends
	s.crashAt(t, eventID("b", 2))
	s.checkCallsAtMost(t, 2)
	s.outputs(t, 15)
	s.checkOrder(t)
	s.noLetters(t)
}

// crashAt runs 15 events, with a crash in the handler of one of them.
func (s *stage) crashAt(t *testing.T, id string) {
	t.Helper()
	s.act(func(_ context.Context, c Call) error {
		if c.ID == id && c.Nth == 1 {
			return errCrash
		}
		return nil
	})
	s.send(t, newEvents(5, "a", "b", "c")...)
	first := s.spawn(t)
	s.awaitCalls(t, id, 1)
	first.awaitCrash(t)
	s.start(t)
	s.awaitEnds(t, s.in)
}

// shutdownInMidBatch stops while handlers run that take their time.
func shutdownInMidBatch(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Variables["WORKERS"] = "4"
	var running atomic.Int32
	stopping := newGate()
	s.act(func(ctx context.Context, _ Call) error {
		running.Add(1)
		if err := stopping.pass(ctx); err != nil {
			return err
		}
		<-time.After(shortTimeout) // work that is not done at once
		return nil
	})
	s.send(t, newEvents(1, keys(100)...)...)
	first := s.start(t)
	runtimetest.Eventually(t, "four handlers to run", func() bool { return running.Load() == 4 })
	first.ask()
	stopping.open()
	first.stop(t)
	before := s.journal.handled()
	if before < 4 || before == 100 {
		t.Errorf("%d events were handled when the process ended, want those that ran", before)
	}
	s.awaitOffset(t, 0, int64(before))
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCallsAtMost(t, 1)
	s.checkOutputs(t, 100)
}

func uncommittedAtLeave(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Variables["COMMIT_INTERVAL"] = "1m"
	s.send(t, newEvents(10, "a", "b")...)
	first := s.start(t)
	s.outputs(t, 20)
	first.stop(t)
	s.awaitEnds(t, s.in)
	s.send(t, newEvent("a", 10))
	s.start(t)
	s.awaitHandled(t, 21)
	s.checkCallsAtMost(t, 1)
}

// noProgress restarts behind a record that cannot be finished: the commit must not go back.
func noProgress(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.number() == 5 {
			return errStuck
		}
		return nil
	})
	s.function().Attempts = 100
	s.send(t, newEvents(10, "a")...)
	for n := range 3 {
		p := s.start(t)
		s.awaitCalls(t, eventID("a", 5), n+1)
		s.awaitOffset(t, 0, 5)
		p.stop(t)
		if got := s.Committed(t, s.group, s.in)[0]; got != 5 {
			t.Fatalf("process %d left with offset %d committed, want 5", n+1, got)
		}
	}
	s.act(succeed)
	s.start(t)
	s.awaitEnds(t, s.in)
	for n := range 5 {
		s.checkCalls(t, eventID("a", n), 1)
	}
}

// restartAtBoundary restarts with nothing done, and with one record done.
func restartAtBoundary(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.start(t).stop(t)
	for n := range 3 {
		s.send(t, newEvent("a", n))
		p := s.start(t)
		s.awaitEnds(t, s.in)
		p.stop(t)
	}
	for n := range 3 {
		s.checkCalls(t, eventID("a", n), 1)
	}
}
