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
func consumeWatermill(ctx context.Context, in input, t *tally) error {
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               in.brokers,
		Unmarshaler:           kafka.DefaultMarshaler{},
		OverwriteSaramaConfig: config,
		ConsumerGroup:         in.group,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return errors.Join(err, subscriber.Close())
	}
	router.AddConsumerHandler("bench", in.topic, subscriber, func(m *message.Message) error {
		t.handle(m.Metadata.Get("ce_id"))
		return nil
	})
	return errors.Join(router.Run(ctx), subscriber.Close())
}
