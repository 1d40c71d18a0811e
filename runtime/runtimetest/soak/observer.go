//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

const (
	// sampleInterval is how often committed offsets are looked at.
	sampleInterval = 100 * time.Millisecond
	// requestTimeout is how long one look may take.
	requestTimeout = 3 * time.Second
)

// sampler looks at the committed offsets while the run lasts.
type sampler struct {
	admin *kadm.Client

	mu      sync.Mutex
	samples []history.Sample
	// newest is what was seen last, by partition.
	newest map[int32]int64
}

func newSampler(client *kgo.Client) *sampler {
	return &sampler{admin: kadm.NewClient(client), newest: map[int32]int64{}}
}

// run samples until ctx ends. While the broker is down there is nothing to see.
func (s *sampler) run(ctx context.Context) {
	for tick := time.NewTicker(sampleInterval); ; {
		s.sample(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

func (s *sampler) sample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	committed, err := s.admin.FetchOffsets(ctx, group)
	at := monotonic()
	if err != nil {
		return
	}
	outputs, letters := s.ends(ctx, outputTopic), s.ends(ctx, letterTopic)
	s.mu.Lock()
	defer s.mu.Unlock()
	for partition, offset := range committed[inputTopic] {
		if offset.Err != nil || offset.At < 0 {
			continue
		}
		s.newest[partition] = offset.At
		s.samples = append(s.samples, history.Sample{
			At: at, Partition: partition, Committed: offset.At, Outputs: outputs, Letters: letters,
		})
	}
}

// ends returns the ends of a topic, open transactions included, or nil where the broker does not tell.
func (s *sampler) ends(ctx context.Context, topic string) map[int32]int64 {
	listed, err := s.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil
	}
	ends := map[int32]int64{}
	for partition, offset := range listed[topic] {
		if offset.Err != nil {
			return nil
		}
		ends[partition] = offset.Offset
	}
	return ends
}

// reached tells whether everything up to ends is committed.
func (s *sampler) reached(ends map[int32]int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for partition, end := range ends {
		if s.newest[partition] < end {
			return false
		}
	}
	return true
}

// committed returns how many events lie before the committed offsets.
func (s *sampler) committed() (events int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, offset := range s.newest {
		events += offset
	}
	return events
}

// reader reads a topic from its start, as an application with read_committed does.
type reader struct {
	client *kgo.Client
	take   func(*kgo.Record)

	mu sync.Mutex
	// next is the offset after the last one seen, markers of transactions included.
	next map[int32]int64
}

func newReader(c *cluster, topic string, take func(*kgo.Record)) (*reader, error) {
	client, err := c.client(
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)
	return &reader{client: client, take: take, next: map[int32]int64{}}, err
}

// run reads until ctx ends. The client tries again by itself what fails while the broker is down.
func (r *reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		r.mu.Lock()
		for record := range fetches.RecordsAll() {
			r.next[record.Partition] = record.Offset + 1
			if !record.Attrs.IsControl() {
				r.take(record)
			}
		}
		r.mu.Unlock()
	}
}

// reach waits until everything before ends was read.
func (r *reader) reach(ctx context.Context, ends map[int32]int64) error {
	for !r.at(ends) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			return fmt.Errorf("read up to %v of %v: %w", r.next, ends, context.Cause(ctx))
		}
	}
	return nil
}

func (r *reader) at(ends map[int32]int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for partition, end := range ends {
		if r.next[partition] < end {
			return false
		}
	}
	return true
}

// readAll reads a topic up to its end.
func readAll(ctx context.Context, c *cluster, topic string, take func(*kgo.Record)) error {
	r, err := newReader(c, topic, take)
	if err != nil {
		return err
	}
	defer r.client.Close()
	ends, err := endsOf(ctx, c, topic)
	if err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { r.run(reading) })
	err = r.reach(ctx, ends)
	stop()
	done.Wait()
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	return nil
}

// endsOf returns the ends of a topic's partitions up to which every transaction is decided.
func endsOf(ctx context.Context, c *cluster, topic string) (map[int32]int64, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ends of topic %s: %w", topic, err)
	}
	ends := map[int32]int64{}
	for partition, offset := range listed[topic] {
		ends[partition] = offset.Offset
	}
	return ends, nil
}

// openTransactions returns the transactions that are not decided, sorted: those that a coordinator knows of, and those
// that it has forgotten, for which readers of a partition wait for ever.
func openTransactions(ctx context.Context, c *cluster) ([]string, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	listed, err := admin.ListTransactions(ctx, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	var open []string
	for id, transaction := range listed {
		switch transaction.State {
		case "Empty", "CompleteCommit", "CompleteAbort", "Dead":
		default:
			open = append(open, id)
		}
	}
	producers, err := admin.DescribeProducers(ctx, topicSet())
	if err != nil {
		return nil, fmt.Errorf("describe producers: %w", err)
	}
	producers.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 {
			open = append(open, fmt.Sprintf("of producer %d, epoch %d, in %s from %d@%d on",
				p.ProducerID, p.ProducerEpoch, p.Topic, p.Partition, p.CurrentTxnStartOffset))
		}
	})
	slices.Sort(open)
	return open, nil
}

// topicSet is what the members write to.
func topicSet() kadm.TopicsSet {
	set := kadm.TopicsSet{}
	for partition := range int32(partitions) {
		set.Add(outputTopic, partition)
	}
	set.Add(letterTopic, 0)
	return set
}

// header returns a header of a record, empty where it is missing.
func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func position(r *kgo.Record) history.Position {
	return history.Position{Partition: r.Partition, Offset: r.Offset}
}

func outputOf(r *kgo.Record) history.Output {
	return history.Output{Position: position(r), ID: header(r, "ce_id"), Cause: header(r, "ce_causationid")}
}

// letterOf reads a dead letter. What is not a number gives a position that no event has.
func letterOf(r *kgo.Record) history.Letter {
	partition, err := strconv.ParseInt(header(r, "dlq-original-partition"), 10, 32)
	if err != nil {
		partition = -1
	}
	offset, err := strconv.ParseInt(header(r, "dlq-original-offset"), 10, 64)
	if err != nil {
		offset = -1
	}
	return history.Letter{
		Position: position(r),
		Original: history.Position{Partition: int32(partition), Offset: offset},
		Event:    header(r, "ce_id"),
	}
}
