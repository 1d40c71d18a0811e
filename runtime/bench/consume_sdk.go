package main

import (
	"context"
	"errors"

	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
)

// consumeSDK is the client of the CloudEvents SDK at its defaults: a goroutine for each event.
func consumeSDK(ctx context.Context, j *job, t *tally) error {
	return receiveSDK(ctx, j, func(_ context.Context, e event.Event) error { return t.handle(e.ID()) })
}

// receiveSDK has handle called for each event of j.Topic.
func receiveSDK(ctx context.Context, j *job, handle func(context.Context, event.Event) error) error {
	protocol, err := kafka_sarama.NewConsumer(j.Brokers, saramaConsumer(), j.Group, j.Topic)
	if err != nil {
		return err
	}
	c, err := client.New(protocol)
	if err == nil {
		err = c.StartReceiver(ctx, handle)
	}
	return errors.Join(err, protocol.Close(context.WithoutCancel(ctx)))
}
