package main

import (
	"context"
	"errors"

	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
)

// publishSDK is the client of the CloudEvents SDK at its defaults, which sends from a goroutine for each event.
func publishSDK(ctx context.Context, j *job, t *tally) error {
	sender, err := kafka_sarama.NewSender(j.Brokers, saramaProducer(), j.Output)
	if err != nil {
		return err
	}
	c, err := client.New(sender)
	if err == nil {
		err = receiveSDK(ctx, j, func(ctx context.Context, e event.Event) error {
			if err := t.handle(e.ID()); err != nil {
				return err
			}
			return c.Send(ctx, completeOutput(e))
		})
	}
	return errors.Join(err, sender.Close(context.WithoutCancel(ctx)))
}
