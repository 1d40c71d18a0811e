package main

import (
	"context"
	"errors"
	"maps"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// publishWatermill is Watermill's router, whose handler returns a message for each. Its publisher waits for each
// acknowledgement.
func publishWatermill(ctx context.Context, j *job, t *tally) error {
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               j.Brokers,
		Marshaler:             kafka.NewWithPartitioningMarshaler(keyOf),
		OverwriteSaramaConfig: saramaProducer(),
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	err = routeWatermill(ctx, j, func(router *message.Router, subscriber message.Subscriber) {
		router.AddHandler("bench", j.Topic, subscriber, j.Output, publisher, func(m *message.Message) ([]*message.Message, error) {
			id := m.Metadata.Get("ce_id")
			if err := t.handle(id); err != nil {
				return nil, err
			}
			out := message.NewMessage("shipped-"+id, m.Payload)
			out.Metadata = maps.Clone(m.Metadata)
			out.Metadata.Set("ce_id", out.UUID)
			out.Metadata.Set("ce_type", outputType)
			out.Metadata.Set(causationHeader, id)
			return message.Messages{out}, nil
		})
	})
	return errors.Join(err, publisher.Close())
}

func keyOf(_ string, m *message.Message) (string, error) {
	return m.Metadata.Get("ce_partitionkey"), nil
}
