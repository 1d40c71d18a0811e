package runtimetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce writes records to topic, acknowledged by all in-sync replicas. The partition follows from the key as Java's
// clients choose it; the fields Topic and Partition of the records are overwritten.
func (b *Broker) Produce(t testing.TB, topic string, records ...*kgo.Record) {
	t.Helper()
	b.produce(t, b.client, topic, records)
}

// ProduceTo is [Broker.Produce] to one partition, whatever the keys.
func (b *Broker) ProduceTo(t testing.TB, topic string, partition int32, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		r.Partition = partition
	}
	b.produce(t, b.dial(t, kgo.RecordPartitioner(kgo.ManualPartitioner())), topic, records)
}

func (b *Broker) produce(t testing.TB, client *kgo.Client, topic string, records []*kgo.Record) {
	t.Helper()
	for _, r := range records {
		r.Topic = topic
	}
	ctx, cancel := patient(t)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("write %d records to %s: %v", len(records), topic, err)
	}
}

// Records waits until topic holds at least n records and returns all that it then holds, by partition and offset: a
// test that expects n and gets more has found a duplicate. What an open or aborted transaction wrote is not among them.
// The test fails when fewer than n come within [Patience].
func (b *Broker) Records(t testing.TB, topic string, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := patient(t)
	defer cancel()
	r := b.reader(t, topic)
	defer r.client.Close()

	for len(r.records) < n {
		if err := r.poll(ctx); err != nil {
			t.Fatalf("topic %s holds %d records, want %d: %v", topic, len(r.records), n, err)
		}
	}
	end := b.ends(t, topic)
	for !r.reached(end) {
		if err := r.poll(ctx); err != nil {
			t.Fatalf("topic %s read up to %v, want %v: %v", topic, r.next, end, err)
		}
	}
	slices.SortFunc(r.records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return r.records
}

// reader reads a topic from its start.
type reader struct {
	client  *kgo.Client
	records []*kgo.Record
	// next is the offset after the last one seen, markers of transactions included.
	next map[int32]int64
}

func (b *Broker) reader(t testing.TB, topic string) *reader {
	t.Helper()
	return &reader{
		next: map[int32]int64{},
		client: b.dial(t,
			kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.KeepControlRecords(),
		),
	}
}

func (r *reader) poll(ctx context.Context) error {
	fetches := r.client.PollFetches(ctx)
	for record := range fetches.RecordsAll() {
		r.next[record.Partition] = record.Offset + 1
		if !record.Attrs.IsControl() {
			r.records = append(r.records, record)
		}
	}
	return fetches.Err()
}

func (r *reader) reached(end map[int32]int64) bool {
	for partition, offset := range end {
		if r.next[partition] < offset {
			return false
		}
	}
	return true
}

// ends returns, for each partition of topic that holds records, the offset after the last one that is decided: neither
// it nor anything before it belongs to an open transaction.
func (b *Broker) ends(t testing.TB, topic string) map[int32]int64 {
	t.Helper()
	first, last := b.listOffsets(t, topic, earliest), b.listOffsets(t, topic, latest)
	maps.DeleteFunc(last, func(partition int32, offset int64) bool { return offset == first[partition] })
	return last
}

// The timestamps that ask ListOffsets for the ends of a partition.
const (
	latest   = -1
	earliest = -2
)

// readCommitted is the isolation level of a ListOffsets request that stops before the first open transaction.
const readCommitted = 1

func (b *Broker) listOffsets(t testing.TB, topic string, timestamp int64) map[int32]int64 {
	t.Helper()
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = topic
	for _, partition := range b.topic(t, topic).partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = partition, timestamp
		wanted.Partitions = append(wanted.Partitions, p)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.IsolationLevel = readCommitted
	request.Topics = append(request.Topics, wanted)

	offsets := map[int32]int64{}
	ask(t, "offsets of topic "+topic, func(ctx context.Context) error {
		response, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		for _, p := range response.Topics[0].Partitions {
			offsets[p.Partition] = p.Offset
			err = cmp.Or(err, kerr.ErrorForCode(p.ErrorCode))
		}
		return err
	})
	return offsets
}
