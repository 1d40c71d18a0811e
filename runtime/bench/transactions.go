package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	// pacedEvents arrive at pace in a measurement of latency, those before pacedStart as a warm-up.
	pacedEvents = 2000
	pacedStart  = 200
	pace        = time.Millisecond
)

// transactionSettings are millrace with other limits of a transaction, the defaults first.
func transactionSettings() []contender {
	var all []contender
	for _, s := range []struct {
		linger  time.Duration
		records int
	}{
		{20 * time.Millisecond, 10_000},
		{0, 10_000},
		{5 * time.Millisecond, 10_000},
		{50 * time.Millisecond, 10_000},
		{100 * time.Millisecond, 10_000},
		{20 * time.Millisecond, 100},
		{20 * time.Millisecond, 1000},
	} {
		all = append(all, contender{
			name: fmt.Sprintf("TRANSACTION_LINGER=%s TRANSACTION_RECORDS=%d", s.linger, s.records),
			work: consumeMillrace,
			settings: map[string]string{
				"EXACTLY_ONCE": "true", "TRANSACTION_LINGER": s.linger.String(), "TRANSACTION_RECORDS": strconv.Itoa(s.records),
			},
		})
	}
	return all
}

// limiting shows what the limits of a transaction make of throughput and latency.
func (b *bench) limiting(ctx context.Context) (*figure, error) {
	records := b.settings.records / 5
	return b.contest(ctx, &figure{
		name: "transactions",
		title: fmt.Sprintf("millrace as in exactly-once; the delays are from when an event was sent to when a reader with read_committed had its output, below %d events/s",
			time.Second/pace),
		columns:  append(slices.Clone(loadColumns), column{name: "ms, median"}, column{name: "ms, 99 of 100"}),
		unranked: true,
	}, records, func(ctx context.Context, j *job) ([]float64, error) {
		values, err := b.publish(ctx, j)
		if err != nil {
			return nil, err
		}
		delays, err := b.delays(ctx, j)
		return append(values, delays...), err
	})
}

// delays measures how long outputs take, with a group of its own: the median and the 99th of 100, in ms.
func (b *bench) delays(ctx context.Context, j *job) ([]float64, error) {
	in, err := b.cluster.newTopic("paced")
	if err != nil {
		return nil, err
	}
	out, err := b.cluster.newTopic("outputs")
	if err != nil {
		return nil, err
	}
	o, err := readOutputs(j.Brokers, out, pacedEvents)
	if err != nil {
		return nil, err
	}
	defer o.close()
	var sent, seen [pacedEvents]time.Time
	first := make(chan struct{})
	o.seen = func(key, sequence int) {
		if n := number(key, sequence); n < pacedEvents {
			if seen[n] = time.Now(); n == 0 {
				close(first)
			}
		}
	}
	paced := *j
	paced.Topic, paced.Group, paced.Output, paced.Records = in, "bench-"+uuid.NewString(), out, 0
	_, err = perform(ctx, &paced, func(ctx context.Context) error {
		var waiting errgroup.Group
		waiting.Go(func() error { return o.wait(ctx) })
		return errors.Join(send(ctx, j.Brokers, in, &sent, first), waiting.Wait())
	})
	if err != nil {
		return nil, err
	}
	var took []float64
	for n := pacedStart; n < pacedEvents; n++ {
		took = append(took, float64(seen[n].Sub(sent[n]))/float64(time.Millisecond))
	}
	slices.Sort(took)
	return []float64{median(took), took[len(took)*99/100]},
		errors.Join(b.cluster.dropGroup(paced.Group), b.cluster.dropTopic(in), b.cluster.dropTopic(out))
}

// send writes events one by one, at pace, and notes when. It goes on after the first when first is closed.
func send(ctx context.Context, brokers []string, topic string, sent *[pacedEvents]time.Time, first <-chan struct{}) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	for n := range pacedEvents {
		r, err := newRecord(n)
		if err != nil {
			return err
		}
		sent[n] = time.Now()
		client.Produce(ctx, r, nil)
		if n == 0 {
			select {
			case <-first:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		time.Sleep(pace)
	}
	return client.Flush(ctx)
}
