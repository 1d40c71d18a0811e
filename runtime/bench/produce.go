package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// publisher publishes events to one topic, without waiting for one before the next.
type publisher interface {
	// publish hands an event over.
	publish(ctx context.Context, e event.Event) error
	close() error
}

// opener returns a publisher that calls acked once for each event, when all in-sync replicas have it or when it failed.
type opener func(brokers []string, topic string, acked func(error)) (publisher, error)

// producing compares how fast events are published, idempotently and with acknowledgement of all replicas.
func producing(c *cluster, records int) (figure, error) {
	f := figure{
		name: "produce",
		title: fmt.Sprintf("%d events, acks=all, idempotent, from one goroutine; from the first call to the last acknowledgement",
			records),
		columns: []column{{name: "events/s"}, {name: "CPU µs/event", decimal: 2}, {name: "MiB grown"}},
		goal:    2,
	}
	events := make([]event.Event, keys*burst)
	for n := range events {
		events[n] = newEvent(n)
	}
	for _, p := range []struct {
		name string
		opener
	}{
		{"sarama AsyncProducer and the SDK's encoder", openSarama},
		{"millrace kafkasink", openMillrace},
	} {
		f.peers = append(f.peers, peer{p.name, func(ctx context.Context) ([]float64, error) {
			return produce(ctx, c, events, records, p.opener)
		}})
	}
	return f, c.connect()
}

// produce publishes events, in turn, until there are records of them, to a topic of its own.
func produce(ctx context.Context, c *cluster, events []event.Event, records int, open opener) ([]float64, error) {
	topic, err := c.newTopic("produce")
	if err != nil {
		return nil, err
	}
	a := &acknowledgements{want: int64(records), done: make(chan struct{})}
	out, err := open(c.brokers, topic, a.count)
	if err != nil {
		return nil, err
	}
	memory := watchMemory()
	start := now()
	for n := range records {
		if err = out.publish(ctx, events[n%len(events)]); err != nil {
			break
		}
	}
	if err == nil {
		err = a.wait(ctx)
	}
	end, grown := now(), memory.mebibytes()
	if closeErr := out.close(); err == nil {
		err = closeErr
	}
	if dropErr := c.dropTopics(); err == nil {
		err = dropErr
	}
	rate, processor := end.since(start, records)
	return []float64{rate, processor, grown}, err
}

// acknowledgements counts outcomes.
type acknowledgements struct {
	want    int64
	settled atomic.Int64
	failed  atomic.Pointer[error]
	done    chan struct{}
}

func (a *acknowledgements) count(err error) {
	if err != nil {
		a.failed.CompareAndSwap(nil, &err)
	}
	if a.settled.Add(1) == a.want {
		close(a.done)
	}
}

// wait returns when there is an outcome of each event, with the first failure.
func (a *acknowledgements) wait(ctx context.Context) error {
	timeout := time.NewTimer(stallLimit)
	defer timeout.Stop()
	select {
	case <-a.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timeout.C:
		return fmt.Errorf("%d of %d events were acknowledged within %s", a.settled.Load(), a.want, stallLimit)
	}
	if failure := a.failed.Load(); failure != nil {
		return *failure
	}
	return nil
}
