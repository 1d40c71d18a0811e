package main

import (
	"context"
	"sync/atomic"

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

func produceSarama(ctx context.Context, j *job, t *tally) error {
	return produce(ctx, j, t, openSarama)
}

func produceMillrace(ctx context.Context, j *job, t *tally) error {
	return produce(ctx, j, t, openMillrace)
}

// produce publishes events, in turn, until all are acknowledged or one failed. It ends with ctx.
func produce(ctx context.Context, j *job, t *tally, open opener) error {
	events := make([]event.Event, keys*burst)
	for n := range events {
		events[n] = newEvent(n)
	}
	var failure atomic.Pointer[error]
	failed := make(chan struct{}, 1)
	out, err := open(j.Brokers, j.Topic, func(err error) {
		if err != nil && failure.CompareAndSwap(nil, &err) {
			failed <- struct{}{}
		} else if err == nil {
			t.count()
		}
	})
	if err != nil {
		return err
	}
	t.begin()
	for n := range j.Records {
		if err := out.publish(ctx, events[n%len(events)]); err != nil {
			return err
		}
	}
	select {
	case <-failed:
		return *failure.Load()
	case <-ctx.Done():
		return out.close()
	}
}
