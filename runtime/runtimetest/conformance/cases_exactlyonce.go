package conformance

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// exactlyOnce: a reader with read_committed sees each output once (law 10).
var exactlyOnce = []testCase{
	{"exactly-once under kill -9", []Capability{Transactions}, killExactlyOnce},
	{"exactly-once under kill -9, by a member that keeps its name", []Capability{Transactions, Static}, killStaticMember},
	{"exactly-once with dead letters", []Capability{Transactions}, lettersExactlyOnce},
	{"a foreign producer with our transactional id", []Capability{Transactions}, foreignProducer},
}

// newExactlyOnce returns a stage whose program runs in transactions.
func newExactlyOnce(t *testing.T, d Door, partitions int32) *stage {
	t.Helper()
	s := newStage(t, d, partitions)
	s.program.ExactlyOnce = true
	s.program.Variables["TRANSACTION_TIMEOUT"] = "3s"
	return s
}

// killDuring kills a child in the handler of an event, while a thousand others are on their way and outputs of their
// transaction are written.
func (s *stage) killDuring(t *testing.T, id string) {
	t.Helper()
	arrived := make(chan struct{}, 1)
	s.act(func(ctx context.Context, c Call) error {
		if c.ID == id {
			select {
			case arrived <- struct{}{}:
			default:
			}
			<-ctx.Done()
		}
		return nil
	})
	child := s.spawn(t)
	await(t, "a handler to run", arrived)
	child.kill()
}

func killExactlyOnce(t *testing.T, d Door) {
	s := newExactlyOnce(t, d, 3)
	s.send(t, newEvents(50, keys(20)...)...)
	s.killDuring(t, eventID("a-07", 20))
	s.act(succeed)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 1000)
	s.checkOrder(t)
	s.noLetters(t)
}

func killStaticMember(t *testing.T, d Door) {
	s := newExactlyOnce(t, d, 3)
	s.program.Variables["KAFKA_INSTANCE_ID"] = "only"
	s.send(t, newEvents(50, keys(20)...)...)
	for round := range 3 {
		// One key: what comes later of it was surely not handled before.
		s.killDuring(t, eventID("a-00", 10*(round+1)))
	}
	s.act(succeed)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 1000)
	s.checkOrder(t)
	s.noLetters(t)
	s.checkNoOpenTransaction(t)
}

// lettersExactlyOnce has a kill while dead letters are part of transactions.
func lettersExactlyOnce(t *testing.T, d Door) {
	s := newExactlyOnce(t, d, 1)
	s.send(t, newEvents(20, keys(10)...)...)
	fails := func(c Call) error {
		if c.number()%4 == 1 {
			return function.Permanent(errFails)
		}
		return nil
	}
	arrived := make(chan struct{}, 1)
	s.act(func(ctx context.Context, c Call) error {
		if c.ID == eventID("a-03", 12) {
			arrived <- struct{}{}
			<-ctx.Done()
		}
		return fails(c)
	})
	child := s.spawn(t)
	await(t, "a handler to run", arrived)
	child.kill()
	s.act(func(_ context.Context, c Call) error { return fails(c) })
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 150)
	letters := map[string]int{}
	for _, r := range s.Records(t, s.letters, 50) {
		letters[headerOf(r, "ce_id")]++
	}
	for id, count := range letters {
		if count != 1 {
			t.Errorf("%d dead letters of %s, want 1", count, id)
		}
	}
	if len(letters) != 50 {
		t.Errorf("dead letters of %d events, want 50", len(letters))
	}
}

// foreignProducer has a stranger begin a transaction under the program's id, again and again.
func foreignProducer(t *testing.T, d Door) {
	s := newExactlyOnce(t, d, 1)
	id := runtimetest.UniqueName(t)
	s.program.Variables["TRANSACTION_ID"] = id
	s.start(t)
	for n := range 3 {
		s.send(t, newEvents(1, fmt.Sprintf("a-%02d", n))...)
		s.awaitEnds(t, s.in)
		s.hijack(t, id)
	}
	s.send(t, newEvent("z", 0))
	s.awaitEnds(t, s.in)
	s.checkOutputs(t, 4)
	s.checkCallsAtMost(t, 1)
	s.noLetters(t)
}

// hijack does what another producer with this id does: its first request fences whoever had the id before.
func (s *stage) hijack(t *testing.T, id string) {
	t.Helper()
	stranger, err := kgo.NewClient(kgo.SeedBrokers(s.Addrs...), kgo.TransactionalID(id))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	stray := newEvent("stray", 0)
	stray.Topic = s.out
	if err := stranger.ProduceSync(t.Context(), stray).FirstErr(); err != nil {
		t.Fatal(err)
	}
	end(t, stranger, kgo.TryAbort)
}

// checkNoOpenTransaction checks that no transaction of this case waits to be ended.
func (s *stage) checkNoOpenTransaction(t *testing.T) {
	t.Helper()
	request := kmsg.NewPtrListTransactionsRequest()
	request.StateFilters = []string{"Ongoing"}
	open := map[string]bool{}
	for _, shard := range s.admin(t).RequestSharded(t.Context(), request) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, transaction := range shard.Resp.(*kmsg.ListTransactionsResponse).TransactionStates {
			open[transaction.TransactionalID] = true
		}
	}
	for id := range open {
		if len(id) >= len(s.group) && id[:len(s.group)] == s.group {
			t.Errorf("a transaction of %s is still open", id)
		}
	}
}
