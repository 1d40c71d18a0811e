package main

import (
	"context"
	"errors"

	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
)

// consumeSDK is the client of the CloudEvents SDK at its defaults: a goroutine for each event.
func consumeSDK(ctx context.Context, in input, t *tally) error {
	protocol, err := kafka_sarama.NewConsumer(in.brokers, saramaConsumer(), in.group, in.topic)
	if err != nil {
		return err
	}
	c, err := client.New(protocol)
	if err == nil {
		err = c.StartReceiver(ctx, func(e event.Event) { t.handle(e.ID()) })
	}
	return errors.Join(err, protocol.Close(context.WithoutCancel(ctx)))
}
