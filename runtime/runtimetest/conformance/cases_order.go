package conformance

import (
	"context"
	"hash/crc32"
	"testing"
)

// orders: what waits for what, and what must not.
var orders = []testCase{
	{"slow partition beside a fast one", []Capability{Apart}, slowPartition},
	{"per-key order under concurrency and retry", nil, keyOrder},
	{"keys of one partition run at the same time", nil, concurrentKeys},
	{"records without a key keep the order of their partition", nil, nullKeys},
	{"parked key while others flow, across restart", nil, parkedKey},
	{"same key in two topics", nil, sameKeyInTwoTopics},
}

func slowPartition(t *testing.T, d Door) {
	s := newStage(t, d, 2)
	slow := newGate()
	s.act(func(ctx context.Context, c Call) error {
		if c.Key() == "slow" {
			return slow.pass(ctx)
		}
		return nil
	})
	s.sendTo(t, s.in, 0, newEvents(5, "slow")...)
	s.sendTo(t, s.in, 1, newEvents(100, "fast")...)
	s.start(t)
	s.awaitHandled(t, 100)
	s.awaitOffset(t, 1, 100)
	slow.open()
	s.awaitEnds(t, s.in)
	s.checkOrder(t)
}

// keyOrder lets a third of the events fail once and a ninth twice.
func keyOrder(t *testing.T, d Door) {
	s := newStage(t, d, 3)
	s.act(func(_ context.Context, c Call) error {
		sum := int(crc32.ChecksumIEEE([]byte(c.ID)))
		if (c.Nth == 1 && sum%3 == 0) || (c.Nth == 2 && sum%9 == 0) {
			return errFails
		}
		return nil
	})
	s.send(t, newEvents(20, keys(100)...)...)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.awaitHandled(t, 2000)
	if calls := len(s.journal.calls()); calls < 2500 {
		t.Errorf("%d calls for 2000 events: too few have failed", calls)
	}
	s.checkOrder(t)
	s.checkOutputs(t, 2000)
	s.noLetters(t)
}

// concurrentKeys has handlers that end only when as many run as there are keys.
func concurrentKeys(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	const n = 16
	arrived, all := make(chan struct{}, n), newGate()
	s.act(func(ctx context.Context, _ Call) error {
		arrived <- struct{}{}
		return all.pass(ctx)
	})
	s.send(t, newEvents(1, keys(n)...)...)
	s.start(t)
	for range n {
		await(t, "as many handlers to run as there are keys", arrived)
	}
	all.open()
	s.awaitEnds(t, s.in)
}

func nullKeys(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.number()%10 == 3 && c.Nth == 1 {
			return errFails
		}
		return nil
	})
	s.sendTo(t, s.in, 0, newEvents(100, "")...)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkOrder(t)
	s.checkOutputs(t, 100)
}

func parkedKey(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.Key() == "parked" {
			return errStuck
		}
		return nil
	})
	s.send(t, newEvents(10, append(keys(9), "parked")...)...)
	first := s.start(t)
	s.awaitHandled(t, 90)
	s.awaitOffset(t, 0, 9)
	if d.can(Waits) {
		s.checkCalls(t, eventID("parked", 0), 1)
	}
	s.checkCalls(t, eventID("parked", 1), 0)
	first.stop(t)

	s.act(succeed)
	s.start(t)
	s.awaitHandled(t, 100)
	s.awaitEnds(t, s.in)
	s.checkOrder(t)
	s.outputs(t, 100)
	s.noLetters(t)
}

func sameKeyInTwoTopics(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	other := *s.function()
	other.Name, other.Topic = "conformance-other", s.NewTopic(t, 1)
	s.program.Functions = append(s.program.Functions, other)
	held := newGate()
	s.act(func(ctx context.Context, c Call) error {
		if c.Function == other.Name {
			return nil
		}
		return held.pass(ctx)
	})
	s.sendTo(t, s.in, 0, newEvents(3, "a")...)
	s.sendTo(t, other.Topic, 0, newEvents(3, "a")...)
	s.start(t)
	s.awaitEnds(t, other.Topic)
	held.open()
	s.awaitEnds(t, s.in)
	s.checkOrder(t)
}
