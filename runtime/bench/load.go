package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// slowHandler is how long the handler of lanes takes.
const slowHandler = 2 * time.Millisecond

// loadColumns are what the figures with a broker tell.
var loadColumns = []column{
	{name: "events/s"}, {name: "CPU µs/event", decimal: 2}, {name: "MiB peak"}, {name: "out of order", worst: true},
}

// The columns of loadColumns.
const (
	columnRate = iota
	columnProcessor
	columnMemory
	columnOrder
)

// consuming compares how fast a topic is read with a handler that does nothing.
func (b *bench) consuming(ctx context.Context) (*figure, error) {
	records := b.settings.records
	return b.contest(ctx, &figure{
		name: "consume",
		title: fmt.Sprintf("%d events, a handler that does nothing; from the first event handled to the last",
			records),
		columns: loadColumns,
		goals:   []goal{ratioGoal(0, 1), ratioGoal(1, 0.8)},
	}, records, b.handle)
}

// handling compares how fast events are handled that take time: how many at once, and in which order.
func (b *bench) handling(ctx context.Context) (*figure, error) {
	records := b.settings.records * 2 / 5
	return b.contest(ctx, &figure{
		name:    "lanes",
		title:   fmt.Sprintf("%d events, a handler that waits for %s; from the first event handled to the last", records, slowHandler),
		columns: loadColumns,
		goals: []goal{
			{column: columnRate, limit: 100_000},
			{column: columnProcessor, bound: atMost, limit: 10},
			{column: columnMemory, bound: below, limit: 150},
			{column: columnOrder, bound: atMost},
		},
	}, records, func(ctx context.Context, j *job) ([]float64, error) {
		j.Pause = slowHandler
		return b.handle(ctx, j)
	})
}

// publishing compares how fast an event is published for each that is read.
func (b *bench) publishing(ctx context.Context) (*figure, error) {
	records := b.settings.records
	return b.contest(ctx, &figure{
		name: "publish",
		title: fmt.Sprintf("%d events, one published for each, acks=all, idempotent; from the first event handled to when a reader has the last output",
			records),
		columns: loadColumns,
		goals:   []goal{ratioGoal(0, 1.5), {column: columnOrder, bound: atMost}},
	}, records, b.publish)
}

// transacting compares the same in transactions.
func (b *bench) transacting(ctx context.Context) (*figure, error) {
	records := b.settings.records
	return b.contest(ctx, &figure{
		name:    "exactly-once",
		title:   fmt.Sprintf("%d events, one published for each, outputs and offsets in transactions; until a reader with read_committed has the last", records),
		columns: loadColumns,
		goals:   []goal{{column: columnRate, limit: 50_000}, {column: columnOrder, bound: atMost}},
	}, records, b.publish)
}

// producing compares how fast events are published.
func (b *bench) producing(ctx context.Context) (*figure, error) {
	records := b.settings.records * 2 / 5
	return b.contest(ctx, &figure{
		name: "produce",
		title: fmt.Sprintf("%d events, acks=all, idempotent, from one goroutine; from the first call to the last acknowledgement",
			records),
		columns: loadColumns[:columnOrder],
		goals:   []goal{ratioGoal(0, 2)},
	}, records, b.produce)
}

// contest fills in the peers of f, each of which is given its share of records.
func (b *bench) contest(ctx context.Context, f *figure, records int, measure func(context.Context, *job) ([]float64, error)) (*figure, error) {
	topic, deadLetters, err := b.cluster.input(ctx, b.settings.records)
	if err != nil {
		return nil, err
	}
	for i := range contenders[f.name] {
		c := &contenders[f.name][i]
		f.peers = append(f.peers, peer{c.name, func(ctx context.Context) ([]float64, error) {
			return measure(ctx, &job{
				Figure: f.name, Peer: c.name,
				Brokers: b.cluster.brokers, Topic: topic, Group: "bench-" + uuid.NewString(), DeadLetters: deadLetters,
				Records: c.share(records), Settings: c.settings, Profile: b.profileName(f.name, i),
			})
		}})
	}
	return f, nil
}

// handle has a peer read a topic of which every event is handled.
func (b *bench) handle(ctx context.Context, j *job) ([]float64, error) {
	a, err := perform(ctx, j, nil)
	if err != nil {
		return nil, err
	}
	return values(a, a.rate(j.Records), a.Violations), b.cluster.dropGroup(j.Group)
}

// publish has a peer publish an event for each that it reads, and reads these.
func (b *bench) publish(ctx context.Context, j *job) ([]float64, error) {
	out, err := b.cluster.newTopic("outputs")
	if err != nil {
		return nil, err
	}
	o, err := readOutputs(j.Brokers, out, j.Records)
	if err != nil {
		return nil, err
	}
	defer o.close()
	open := *j
	open.Output, open.Records = out, 0
	a, err := perform(ctx, &open, o.wait)
	if err != nil {
		return nil, err
	}
	a.Last = o.tally.last.Load().at
	return values(a, a.rate(j.Records), o.tally.violations.Load()),
		errors.Join(b.cluster.dropGroup(j.Group), b.cluster.dropTopic(out))
}

// produce has a peer publish to a topic of its own.
func (b *bench) produce(ctx context.Context, j *job) ([]float64, error) {
	var err error
	if j.Topic, err = b.cluster.newTopic("produce"); err != nil {
		return nil, err
	}
	a, err := perform(ctx, j, nil)
	if err != nil {
		return nil, err
	}
	return values(a, a.rate(j.Records), 0)[:columnOrder], b.cluster.dropTopic(j.Topic)
}

// values are what loadColumns name.
func values(a *account, rate float64, violations int64) []float64 {
	return []float64{rate, a.micros(), a.mebibytes(), float64(violations)}
}
