package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// causationHeader holds the id of the event that an output came of.
const causationHeader = "ce_causationid"

// outputs are what a peer publishes, as a reader with read_committed sees it, by a client that is no peer.
type outputs struct {
	client *kgo.Client
	tally  *tally
	// seen, where it is not nil, is told of the place of each.
	seen func(key, sequence int)
}

// readOutputs begins to read topic, of which records are expected.
func readOutputs(brokers []string, topic string, records int) (*outputs, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	return &outputs{client: client, tally: newTally(&job{Records: records})}, nil
}

// wait returns when all were seen.
func (o *outputs) wait(ctx context.Context) error {
	for {
		fetches := o.client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("%d of %d outputs were seen: %w", o.tally.handled.Load(), o.tally.want, err)
		}
		fetches.EachRecord(o.see)
		select {
		case <-o.tally.done:
			return nil
		default:
		}
	}
}

func (o *outputs) see(r *kgo.Record) {
	for _, h := range r.Headers {
		if h.Key != causationHeader {
			continue
		}
		id := string(h.Value)
		if key, sequence, ok := placeOf(id); ok && o.seen != nil {
			o.seen(key, sequence)
		}
		// What it came of does not fail here.
		_ = o.tally.handle(id)
	}
}

func (o *outputs) close() { o.client.Close() }
