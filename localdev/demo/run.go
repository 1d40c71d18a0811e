package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/localdev/cluster"
)

// pace is the time between two events.
const pace = 500 * time.Millisecond

// Run publishes what happens in a shop, two events in a second, until ctx ends; then it returns nil.
func Run(ctx context.Context, client *cluster.Client, shop *Shop) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for n := 0; ; n++ {
		record, err := Record(shop.Next(time.Now()), Format(n%3))
		if err == nil {
			err = client.ProduceSync(ctx, record).FirstErr()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sample events: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Format is a way to write an event.
type Format int

// The formats.
const (
	// Envelope is the tutorial's JSON envelope, with the headers that the tutorial sets.
	Envelope Format = iota
	// Binary and Structured are the modes of the CloudEvents Kafka binding.
	Binary
	Structured
)

// Record returns the record of an event of the catalogue, for the topic that the catalogue names, with the partition key
// as its key.
func Record(e event.Event, f Format) (*kgo.Record, error) {
	t, ok := schemas.Lookup(e.Type())
	if !ok {
		return nil, fmt.Errorf("type %s is not in the catalogue", e.Type())
	}
	key, _ := kafkabinding.PartitionKey(e)
	if f == Envelope {
		value, err := envelope.Encode(e)
		if err != nil {
			return nil, err
		}
		return &kgo.Record{Topic: t.Topic, Key: key, Value: value, Headers: []kgo.RecordHeader{
			{Key: "eventType", Value: []byte(t.Envelope)},
			{Key: "source", Value: []byte(e.Source())},
			{Key: "timestamp", Value: []byte(e.Time().Format(time.RFC3339Nano))},
		}}, nil
	}
	mode := kafkabinding.Binary
	if f == Structured {
		mode = kafkabinding.Structured
	}
	m, err := kafkabinding.Encode(e, mode)
	if err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: t.Topic, Key: key, Value: m.Value}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return record, nil
}
