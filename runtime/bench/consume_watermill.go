package main

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// consumeWatermill is Watermill's router over its Kafka subscriber, at their defaults but for where a new group begins.
// Its unmarshaler puts the headers into a map; no event is decoded.
func consumeWatermill(ctx context.Context, j *job, t *tally) error {
	return routeWatermill(ctx, j, func(router *message.Router, subscriber message.Subscriber) {
		router.AddConsumerHandler("bench", j.Topic, subscriber, func(m *message.Message) error {
			return t.handle(m.Metadata.Get("ce_id"))
		})
	})
}

// routeWatermill runs a router with the handler that add adds.
func routeWatermill(ctx context.Context, j *job, add func(*message.Router, message.Subscriber)) error {
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               j.Brokers,
		Unmarshaler:           kafka.DefaultMarshaler{},
		OverwriteSaramaConfig: config,
		ConsumerGroup:         j.Group,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return errors.Join(err, subscriber.Close())
	}
	add(router, subscriber)
	return errors.Join(router.Run(ctx), subscriber.Close())
}
