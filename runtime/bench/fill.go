package main

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

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
	m, err := kafkabinding.EncodeKeyed(newEvent(n), kafkabinding.Binary)
	if err != nil {
		return nil, err
	}
	r := &kgo.Record{Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return r, nil
}

// find returns the record of the event of this id.
func find(ctx context.Context, brokers []string, topic, id string) (*kgo.Record, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, err
		}
		for r := range fetches.RecordsAll() {
			if slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "ce_id" && string(h.Value) == id }) {
				return r, nil
			}
		}
	}
}
