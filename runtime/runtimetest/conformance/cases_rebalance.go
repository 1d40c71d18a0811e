package conformance

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// rebalances: partitions go from one member to another.
var rebalances = []testCase{
	{"rebalance in mid-handler", []Capability{Members, Drain}, rebalanceInMidHandler},
	{"rebalance in mid-handler, longer than the drain budget", []Capability{Members, Drain}, rebalanceBeyondDrain},
	{"a partition that stays is not interrupted", []Capability{Members, Keeps}, keptPartition},
	{"leaving hands partitions over", []Capability{Members, Drain}, leavingHandsOver},
	{"a rebalance each second", []Capability{Members, Drain}, rebalanceStorm},
	{"a rebalance each second, exactly once", []Capability{Members, Drain, Transactions}, rebalanceStormExactlyOnce},
	{"a paused process starts nothing that it has lost", []Capability{Members, Owns}, pausedProcess},
}

// awaitMembers waits until the group has n members and is done with rebalancing.
func (s *stage) awaitMembers(t *testing.T, n int) {
	t.Helper()
	runtimetest.Eventually(t, fmt.Sprintf("a stable group of %d", n), func() bool {
		g := s.describe(t)
		return g.State == "Stable" && len(g.Members) == n
	})
}

// describe asks the coordinator about the group.
func (s *stage) describe(t *testing.T) kmsg.DescribeGroupsResponseGroup {
	t.Helper()
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{s.group}
	response, err := request.RequestWith(t.Context(), s.admin(t))
	if err != nil {
		t.Fatal(err)
	}
	return response.Groups[0]
}

// rebalanceInMidHandler has a second member join while handlers of every partition run.
func rebalanceInMidHandler(t *testing.T, d Door) {
	s := newStage(t, d, 4)
	held := newGate()
	running := make(chan string, 4)
	s.act(func(ctx context.Context, c Call) error {
		if c.number() > 0 || c.Process > 1 {
			return nil
		}
		running <- c.ID
		return held.pass(ctx)
	})
	for partition, key := range keys(4) {
		s.sendTo(t, s.in, int32(partition), newEvents(25, key)...)
	}
	s.start(t)
	for range 4 {
		await(t, "a handler to run", running)
	}
	second := s.launch(t)
	runtimetest.Eventually(t, "the rebalance to begin", func() bool {
		g := s.describe(t)
		return g.State != "Stable" || len(g.Members) == 2
	})
	held.open()
	second.awaitJoined(t)
	s.awaitEnds(t, s.in)
	s.checkCallsAtMost(t, 1)
	s.checkOrder(t)
	s.checkOutputs(t, 100)
	s.noLetters(t)
}

// rebalanceBeyondDrain has handlers that do not end while the partition is theirs: the next owner handles the record
// again, and what they return then counts for nothing.
func rebalanceBeyondDrain(t *testing.T, d Door) {
	s := newStage(t, d, 2)
	s.program.Variables["DRAIN_TIMEOUT"] = "200ms"
	held := newGate()
	t.Cleanup(held.open)
	running := make(chan string, 2)
	s.act(func(_ context.Context, c Call) error {
		if c.Nth == 1 && c.number() == 0 {
			running <- c.ID
			<-held.opened // without a look at its context
			return errFails
		}
		return nil
	})
	for partition, key := range keys(2) {
		s.sendTo(t, s.in, int32(partition), newEvents(10, key)...)
	}
	s.start(t)
	await(t, "a handler to run", running)
	await(t, "a handler to run", running)
	s.start(t)
	runtimetest.Eventually(t, "the record that moved to be handled", func() bool { return s.journal.handled() >= 10 })
	held.open()
	s.awaitHandled(t, 20)
	s.awaitEnds(t, s.in)
	s.outputs(t, 20)
	s.noLetters(t)
}

// keptPartition has a handler of each partition run for longer than the drain budget while one of them moves.
func keptPartition(t *testing.T, d Door) {
	s := newStage(t, d, 2)
	s.program.Variables["DRAIN_TIMEOUT"] = "200ms"
	held := newGate()
	running := make(chan string, 2)
	s.act(func(ctx context.Context, c Call) error {
		if c.Nth == 1 && c.number() == 0 {
			running <- c.ID
			return held.pass(ctx)
		}
		return nil
	})
	for partition, key := range keys(2) {
		s.sendTo(t, s.in, int32(partition), newEvents(10, key)...)
	}
	s.start(t)
	await(t, "a handler to run", running)
	await(t, "a handler to run", running)
	s.start(t)
	runtimetest.Eventually(t, "the partition that moved to be handled", func() bool { return s.journal.handled() >= 10 })
	held.open()
	s.awaitHandled(t, 20)
	s.awaitEnds(t, s.in)
	interrupted := 0
	for _, e := range s.journal.calls() {
		if e.err != nil {
			interrupted++
		}
	}
	if interrupted != 1 {
		t.Errorf("%d handlers were interrupted, want that of the partition that moved", interrupted)
	}
	s.checkOutputs(t, 20)
}

func leavingHandsOver(t *testing.T, d Door) {
	s := newStage(t, d, 4)
	first := s.start(t)
	s.start(t)
	sent := 0
	round := func() {
		s.send(t, newEvents(sent+1, keys(40)...)[40*sent:]...)
		sent++
	}
	runtimetest.Eventually(t, "both members to have partitions", func() bool {
		round()
		s.awaitHandled(t, 40*sent)
		newest := map[int]bool{}
		for _, e := range s.journal.calls() {
			newest[e.Process] = newest[e.Process] || e.number() == sent-1
		}
		return newest[1] && newest[2]
	})
	first.stop(t)
	round()
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 40*sent)
}

// storm has members come and go while 40 keys are busy, and returns when all is done.
func (s *stage) storm(t *testing.T, rounds int) {
	t.Helper()
	s.act(func(_ context.Context, c Call) error {
		if c.number()%7 == 3 && c.Nth == 1 {
			return errFails
		}
		<-time.After(time.Millisecond) // work
		return nil
	})
	s.start(t)
	events := newEvents(50, keys(40)...)
	for batch := range slices.Chunk(events, len(events)/rounds) {
		s.send(t, batch...)
		guest := s.start(t)
		began := time.Now()
		guest.stop(t)
		if took := time.Since(began); took > drainTimeout {
			t.Errorf("a member took %s to leave, its drain budget is %s", took, drainTimeout)
		}
	}
	s.awaitHandled(t, len(events))
	s.awaitEnds(t, s.in)
	s.checkOrder(t)
	s.noLetters(t)
}

func rebalanceStorm(t *testing.T, d Door) {
	s := newStage(t, d, 4)
	s.storm(t, 8)
	s.checkCallsAtMost(t, 2)
	s.checkOutputs(t, 2000)
}

func rebalanceStormExactlyOnce(t *testing.T, d Door) {
	s := newStage(t, d, 4)
	s.program.ExactlyOnce = true
	s.storm(t, 8)
	s.checkOutputs(t, 2000)
}

// pausedProcess stops a process, as SIGSTOP does, for longer than its session may last.
func pausedProcess(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.program.Variables["WORKERS"] = "2"
	held := newGate()
	running := make(chan string, 2)
	s.act(func(ctx context.Context, c Call) error {
		if c.Process == 1 && c.number() == 0 {
			running <- c.ID
			return held.pass(ctx)
		}
		return nil
	})
	s.sendTo(t, s.in, 0, newEvents(50, "a", "b")...)
	first := s.spawn(t)
	await(t, "a handler to run", running)
	await(t, "a handler to run", running)
	resume := first.pause(t)
	s.start(t)
	s.awaitHandled(t, 100)
	resume()
	held.open()
	s.awaitMembers(t, 2)
	for _, e := range s.journal.calls() {
		if e.Process == 1 && e.number() > 0 {
			t.Errorf("%s was started by the process that was paused", e.ID)
		}
	}
	s.awaitEnds(t, s.in)
	s.outputs(t, 100)
}
