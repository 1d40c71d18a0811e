package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// logs: offsets are not numbers without gaps, and a log is not for ever.
var logs = []testCase{
	{"input with transaction markers and aborted transactions", nil, abortedInput},
	{"compacted input", nil, compactedInput},
	{"records that retention deleted", nil, deletedRecords},
	{"offsets beyond 2³¹", nil, longOffsets},
	{"a committed offset beyond the end of the log", []Capability{Readiness}, commitBeyondEnd},
	{"an offset that jumps to 0 while nobody reads", nil, recreatedTopic},
	{"an offset that jumps to 0 under a reader", []Capability{Readiness}, offsetJumpsUnderReader},
}

// abortedInput writes a log in which three markers follow one another, and aborted records stand first and last.
func abortedInput(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.transact(t, kgo.TryAbort, newEvent("aborted", 0))
	s.transact(t, kgo.TryCommit, newEvents(3, "a", "b")...)
	first, second, third := s.producer(t), s.producer(t), s.producer(t)
	s.write(t, first, newEvent("a", 3))
	s.write(t, second, newEvent("aborted", 1))
	s.write(t, third, newEvent("b", 3))
	end(t, second, kgo.TryAbort)
	end(t, first, kgo.TryCommit)
	end(t, third, kgo.TryCommit)
	s.send(t, newEvent("a", 4))
	s.transact(t, kgo.TryAbort, newEvent("aborted", 2))

	p := s.start(t)
	s.awaitHandled(t, 9)
	s.awaitOffsetFrom(t, s.ends[s.in][0])
	p.stop(t)
	s.send(t, newEvent("a", 5))
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCallsAtMost(t, 1)
	s.checkOrder(t)
	s.checkOutputs(t, 10)
	for _, e := range s.journal.calls() {
		if e.Key() == "aborted" {
			t.Errorf("%s was handled, and its transaction is aborted", e.ID)
		}
	}
}

// producer returns a producer with an open transaction.
func (s *stage) producer(t *testing.T) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addrs...), kgo.TransactionalID(runtimetest.UniqueName(t)))
	if err == nil {
		t.Cleanup(client.Close)
		err = client.BeginTransaction()
	}
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// write writes records to topic in, in a transaction.
func (s *stage) write(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		r.Topic = s.in
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, client *kgo.Client, how kgo.TransactionEndTry) {
	t.Helper()
	if err := client.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

// transact writes records to topic in, in a transaction of their own.
func (s *stage) transact(t *testing.T, how kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	client := s.producer(t)
	s.write(t, client, records...)
	end(t, client, how)
}

// awaitOffsetFrom waits until at least an offset is committed for partition 0: behind the last record there may be
// markers, which count or not.
func (s *stage) awaitOffsetFrom(t *testing.T, least int64) {
	t.Helper()
	runtimetest.Eventually(t, fmt.Sprintf("offset %d committed", least), func() bool {
		return s.Committed(t, s.group, s.in)[0] >= least
	})
}

// compactedInput has compaction take the record at the committed offset away, and finished ones beyond it.
func compactedInput(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.in = runtimetest.UniqueName(t)
	s.function().Topic = s.in
	s.CreateTopic(t, s.in, 1, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "10", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "10",
	})
	s.act(func(_ context.Context, c Call) error {
		if c.ID == eventID("a", 0) || c.ID == eventID("b", 1) {
			return errStuck
		}
		return nil
	})
	s.send(t, newEvents(3, "a", "b", "c")...)
	first := s.start(t)
	s.awaitHandled(t, 4)
	first.stop(t)
	s.send(t, newEvent("a", 3))
	s.compact(t)
	s.act(succeed)
	s.start(t)
	s.awaitEnds(t, s.in)
	s.checkCalls(t, eventID("a", 3), 1)
	s.checkCalls(t, eventID("b", 2), 1)
	if d.can(Ranges) {
		s.checkCalls(t, eventID("c", 2), 1)
	}
	s.noLetters(t)
}

// compact compacts topic in, so far that of key a only the last event is left.
func (s *stage) compact(t *testing.T) {
	t.Helper()
	shared := os.Getenv(runtimetest.AddressVariable) != ""
	runtimetest.Eventually(t, "compaction", func() bool {
		// The last segment is left alone, and what is written begins another.
		s.send(t, newEvent("z", 0))
		if !shared {
			s.Embedded(t).Compact()
		}
		left := 0
		for _, r := range s.Records(t, s.in, 1) {
			if string(r.Key) == "a" {
				left++
			}
		}
		return left == 1
	})
}

func deletedRecords(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(_ context.Context, c Call) error {
		if c.number() == 2 {
			return errStuck
		}
		return nil
	})
	s.send(t, newEvents(10, "a")...)
	first := s.start(t)
	s.awaitOffset(t, 0, 2)
	first.stop(t)
	s.deleteRecords(t, 5)
	s.act(succeed)
	s.start(t)
	s.awaitEnds(t, s.in)
	for n := 5; n < 10; n++ {
		s.checkCalls(t, eventID("a", n), 1)
	}
	s.checkCalls(t, eventID("a", 3), 0)
}

// deleteRecords deletes what stands before an offset of topic in.
func (s *stage) deleteRecords(t *testing.T, before int64) {
	t.Helper()
	partition := kmsg.NewDeleteRecordsRequestTopicPartition()
	partition.Offset = before
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = s.in
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, topic)
	s.request(t, request)
}

// longOffsets reads one event for ever, from an offset that no 32 bits hold.
func longOffsets(t *testing.T, d Door) {
	const first = 1<<31 + 5
	broker := runtimetest.Kafka(t, &runtimetest.Options{Embedded: []kfake.Opt{
		kfake.SyntheticFetch(kfake.SyntheticBatch{Batch: batchOf(t, newEvent("a", 0))}),
	}})
	s := newStageOn(t, d, broker, 1)
	s.function().Output = ""
	s.SetCommits(t, s.group, s.in, map[int32]runtimetest.Commit{0: {Offset: first}})
	p := s.start(t)
	s.awaitOffsetFrom(t, first+10)
	p.stop(t)
	done := int64(len(s.journal.calls()))
	if got := s.Committed(t, s.group, s.in)[0]; got != first+done {
		t.Errorf("offset %d is committed after %d records from %d on", got, done, first)
	}
}

// batchOf returns a record as a cluster stores it.
func batchOf(t *testing.T, record *kgo.Record) []byte {
	t.Helper()
	var batch []byte
	broker := runtimetest.Kafka(t, nil)
	broker.Embedded(t).ControlKey(kmsg.Produce.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		batch = bytes.Clone(request.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records)
		return nil, nil, false
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs...), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	record.Topic = broker.NewTopic(t, 1)
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return batch
}

// recreatedTopic reads a topic that was created again: with the old one its commits are gone, and all is new.
func recreatedTopic(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.send(t, newEvents(10, "old")...)
	first := s.start(t)
	s.awaitEnds(t, s.in)
	first.stop(t)
	s.recreate(t)
	runtimetest.Eventually(t, "the old topic's commits to go", func() bool { return len(s.Committed(t, s.group, s.in)) == 0 })
	s.start(t)
	s.awaitHandled(t, 15)
	s.awaitEnds(t, s.in)
	s.checkCallsAtMost(t, 1)
}

// commitBeyondEnd has a log that ends before the committed offset, as one that has lost its end. Nobody knows what was
// handled of what comes in its place, so nothing is until an operator has said where to begin.
func commitBeyondEnd(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	addr := s.observe(t)
	s.send(t, newEvents(5, "new")...)
	s.SetCommits(t, s.group, s.in, map[int32]runtimetest.Commit{0: {Offset: 10}})
	p := s.start(t)
	awaitRed(t, addr)
	s.checkCallsAtMost(t, 0)
	s.resetBy(t, p)
	s.awaitHandled(t, 5)
	s.checkCallsAtMost(t, 1)
}

// offsetJumpsUnderReader has the log begin anew while it is read.
func offsetJumpsUnderReader(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	addr := s.observe(t)
	s.send(t, newEvents(10, "old")...)
	first := s.start(t)
	s.awaitEnds(t, s.in)
	awaitReady(t, addr)
	s.recreate(t)
	awaitRed(t, addr)
	s.resetBy(t, first)
	s.awaitHandled(t, 15)
	s.checkCallsAtMost(t, 1)
}

// recreate deletes topic in, creates it again and writes five events.
func (s *stage) recreate(t *testing.T) {
	t.Helper()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &s.in
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.Topics, request.TopicNames = append(request.Topics, topic), []string{s.in}
	s.request(t, request)
	delete(s.ends, s.in)
	s.CreateTopic(t, s.in, 1, nil)
	s.sendTo(t, s.in, 0, newEvents(5, "new")...) // by a client that does not know the old topic
}

// resetBy does what the operator does: stop the group, take its commits away, start it.
func (s *stage) resetBy(t *testing.T, p *process) {
	t.Helper()
	p.stop(t)
	s.deleteCommits(t)
	s.start(t)
	s.awaitEnds(t, s.in)
}
