package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
)

// outcomes: what a handler returns decides what becomes of the record.
var outcomes = []testCase{
	{"all succeed", nil, allSucceed},
	{"undecodable", nil, undecodable},
	{"schema-invalid", nil, schemaInvalid},
	{"panic", nil, panics},
	{"handler past its deadline", nil, pastDeadline},
	{"Drop", nil, dropped},
	{"empty batch", nil, emptyBatch},
	{"one of 100 undecodable, one that always fails", nil, twoOfHundred},
}

var errFails = errors.New("it fails on purpose")

// errStuck leaves a record unfinished for as long as the process runs.
var errStuck = function.RetryAfter(time.Hour, errFails)

func allSucceed(t *testing.T, d Door) {
	s := newStage(t, d, 3)
	s.send(t, newEvents(20, keys(15)...)...)
	s.start(t)
	s.awaitEnds(t, s.in)
	for _, e := range s.journal.calls() {
		if e.Nth != 1 {
			t.Errorf("%s was handled %d times", e.ID, e.Nth)
		}
	}
	s.checkOrder(t)
	s.checkOutputs(t, 300)
	s.noLetters(t)
}

func undecodable(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	bad := newEvent("a", 0)
	bad.Headers = bad.Headers[1:] // without ce_specversion it is no event
	bad.Value = []byte{0xff, 0, '{'}
	s.send(t, bad, newEvent("a", 1))
	s.start(t)
	s.awaitEnds(t, s.in)
	if calls := s.journal.calls(); len(calls) != 1 || calls[0].ID != eventID("a", 1) {
		t.Errorf("handled %v, want the event that can be decoded", calls)
	}
	letter := s.Records(t, s.letters, 1)[0]
	checkOriginal(t, letter, bad)
	checkHeaders(t, letter, map[string]string{
		deadletter.HeaderTopic: s.in, deadletter.HeaderPartition: "0", deadletter.HeaderOffset: "0",
		deadletter.HeaderClass: function.ClassUndecodable, deadletter.HeaderRetries: "0", deadletter.HeaderGroup: s.group,
	})
}

func schemaInvalid(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.function().Checked = true
	bad := newOrder("a/000000", `{"orderId":"order-1","customerId":"","amount":10.00}`)
	s.send(t, bad, newOrder("a/000001", validOrder))
	s.start(t)
	s.awaitEnds(t, s.in)
	if calls := s.journal.calls(); len(calls) != 1 || calls[0].ID != "a/000001" {
		t.Errorf("handled %v, want the valid event", calls)
	}
	letter := s.Records(t, s.letters, 1)[0]
	checkOriginal(t, letter, bad)
	checkHeaders(t, letter, map[string]string{deadletter.HeaderClass: function.ClassSchema, deadletter.HeaderRetries: "0"})
}

func panics(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.ID == eventID("a", 0) {
			panic("on purpose")
		}
		return nil
	})
	s.send(t, newEvents(2, "a", "b")...)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCalls(t, eventID("a", 0), 3)
	s.checkOrder(t)
	checkHeaders(t, s.Records(t, s.letters, 1)[0], map[string]string{
		deadletter.HeaderClass: function.ClassExhausted, deadletter.HeaderRetries: "2", "ce_id": eventID("a", 0),
	})
}

func pastDeadline(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	f := s.function()
	// Where the processors are busy, publishing may take longer than the limit as well.
	f.Timeout, f.Attempts = 300*time.Millisecond, 20
	s.act(func(ctx context.Context, c Call) error {
		if c.ID == eventID("a", 0) && c.Nth < 3 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	s.send(t, newEvents(2, "a", "b")...)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.awaitCalls(t, eventID("a", 0), 3)
	s.checkOrder(t)
	s.outputs(t, 4)
	s.noLetters(t)
}

func dropped(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.Key() == "a" {
			return function.Drop("on purpose")
		}
		return nil
	})
	s.send(t, newEvents(3, "a", "b")...)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCalls(t, eventID("a", 0), 1)
	s.checkOutputs(t, 3)
	s.noLetters(t)
}

func emptyBatch(t *testing.T, d Door) {
	s := newStage(t, d, 2)
	s.start(t).stop(t)
	for partition, offset := range s.Committed(t, s.group, s.in) {
		if offset != 0 {
			t.Errorf("offset %d is committed for partition %d of a topic without records", offset, partition)
		}
	}
	s.start(t)
	s.sendTo(t, s.in, 1, newEvent("a", 0))
	s.awaitOffset(t, 1, 1)
	s.checkCalls(t, eventID("a", 0), 1)
}

// twoOfHundred has nobody but a record that fails wait for its attempts: what cannot be decoded is a dead letter at once,
// all others are handled once.
func twoOfHundred(t *testing.T, d Door) {
	s := newStage(t, d, 2)
	failing := eventID("a-03", 0)
	held := newGate()
	if !d.can(Apart) {
		held.open()
	}
	s.act(func(ctx context.Context, c Call) error {
		if c.ID != failing {
			return nil
		}
		if err := held.pass(ctx); err != nil {
			return err
		}
		return errFails
	})
	records := newEvents(1, keys(50)...)
	records[1].Headers = records[1].Headers[1:] // without ce_specversion it is no event
	s.sendTo(t, s.in, 0, records...)
	s.sendTo(t, s.in, 1, newEvents(50, "b")...)
	s.start(t)
	s.awaitOffset(t, 1, 50)
	held.open()
	s.awaitEnds(t, s.in)
	for _, e := range s.journal.calls() {
		if e.ID != failing && e.Nth != 1 {
			t.Errorf("%s was handled %d times", e.ID, e.Nth)
		}
	}
	s.checkCalls(t, failing, 3)
	s.checkOutputs(t, 98)
	letters := s.Records(t, s.letters, 2)
	checkHeaders(t, letters[0], map[string]string{deadletter.HeaderClass: function.ClassUndecodable, deadletter.HeaderOffset: "1"})
	checkHeaders(t, letters[1], map[string]string{deadletter.HeaderClass: function.ClassExhausted, deadletter.HeaderRetries: "2", "ce_id": failing})
}
