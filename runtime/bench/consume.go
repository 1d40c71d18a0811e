package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// stallLimit is how long a peer may take for all events before it is given up.
const stallLimit = 5 * time.Minute

// input is what a consumer reads.
type input struct {
	brokers []string
	topic   string
	// group is new.
	group string
	// deadLetters is a topic for what cannot be handled; it stays empty.
	deadLetters string
}

// consumer reads in.topic from its start and tells t of each event, until ctx ends.
type consumer func(ctx context.Context, in input, t *tally) error

// consuming compares how fast a topic is read with a handler that does nothing.
func consuming(ctx context.Context, c *cluster, records int) (figure, error) {
	topic, err := c.newTopic("consume")
	if err != nil {
		return figure{}, err
	}
	if err := fill(ctx, c.brokers, topic, records); err != nil {
		return figure{}, fmt.Errorf("fill topic %s: %w", topic, err)
	}
	deadLetters, err := c.newTopic("dead-letters")
	if err != nil {
		return figure{}, err
	}
	f := figure{
		name: "consume",
		title: fmt.Sprintf("%d events, %d partitions, %d keys in bursts of %d; from the first event handled to the last",
			records, partitions, keys, burst),
		columns: []column{{name: "events/s"}, {name: "CPU µs/event", decimal: 2}, {name: "MiB grown"},
			{name: "out of order", worst: true}},
		goal: 1,
	}
	for _, p := range []struct {
		name string
		consumer
	}{
		{"sarama alone, nothing decoded", consumeSarama},
		{"sarama alone, GOGC 400 as millrace", consumeSaramaLargeHeap},
		{"sarama and the SDK's decoder", consumeSaramaDecoded},
		{"CloudEvents SDK's client", consumeSDK},
		{"Watermill router, headers to a map", consumeWatermill},
		{"millrace", consumeMillrace},
	} {
		f.peers = append(f.peers, peer{p.name, func(ctx context.Context) ([]float64, error) {
			in := input{brokers: c.brokers, topic: topic, group: "bench-" + uuid.NewString(), deadLetters: deadLetters}
			return consume(ctx, c, in, records, p.consumer)
		}})
	}
	return f, nil
}

// consume has all events read once.
func consume(ctx context.Context, c *cluster, in input, records int, read consumer) ([]float64, error) {
	t := newTally(records)
	memory := watchMemory()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- read(ctx, in, t) }()
	err := t.wait(ended)
	grown := memory.mebibytes()
	cancel()
	if err != nil {
		return nil, err
	}
	if err := <-ended; err != nil {
		return nil, err
	}
	if err := c.admin.DeleteConsumerGroup(in.group); err != nil && !errors.Is(err, sarama.ErrGroupIDNotFound) {
		return nil, fmt.Errorf("delete consumer group %s: %w", in.group, err)
	}
	rate, processor := t.last.since(*t.first.Load(), records)
	return []float64{rate, processor, grown, float64(t.violations.Load())}, nil
}

// tally is told of each event that a peer handles. Its methods may be called concurrently.
type tally struct {
	want       int64
	handled    atomic.Int64
	violations atomic.Int64
	strangers  atomic.Int64
	// next is the sequence number that is expected of each key.
	next [keys]atomic.Int64

	first atomic.Pointer[moment]
	// last may be read when done is closed.
	last moment
	done chan struct{}
}

func newTally(records int) *tally { return &tally{want: int64(records), done: make(chan struct{})} }

// handle takes note of the event of this id. It is what each peer's handler does.
func (t *tally) handle(id string) {
	if t.first.Load() == nil {
		start := now()
		t.first.CompareAndSwap(nil, &start)
	}
	key, sequence, err := placeOf(id)
	if err != nil {
		t.strangers.Add(1)
		return
	}
	if expected := t.next[key%keys].Swap(int64(sequence) + 1); expected != int64(sequence) {
		t.violations.Add(1)
	}
	if t.handled.Add(1) == t.want {
		t.last = now()
		close(t.done)
	}
}

// wait returns when every event was handled, or an error when that will not happen.
func (t *tally) wait(ended <-chan error) error {
	timeout := time.NewTimer(stallLimit)
	defer timeout.Stop()
	var err error
	select {
	case <-t.done:
		return nil
	case err = <-ended:
	case <-timeout.C:
		err = fmt.Errorf("not done after %s", stallLimit)
	}
	return fmt.Errorf("%d of %d events were handled, and %d strange ones: %w",
		t.handled.Load(), t.want, t.strangers.Load(), errors.Join(err, errUnfinished))
}

var errUnfinished = errors.New("the reader gave up")

// fill writes the first records events to topic, by a client that is no peer.
func fill(ctx context.Context, brokers []string, topic string, records int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	for n := range records {
		r, err := newRecord(n)
		if err != nil {
			return err
		}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

func newRecord(n int) (*kgo.Record, error) {
	e := newEvent(n)
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		return nil, err
	}
	r := &kgo.Record{Value: m.Value}
	r.Key, _ = kafkabinding.PartitionKey(e)
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return r, nil
}
