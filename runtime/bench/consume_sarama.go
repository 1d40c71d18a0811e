package main

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

// saramaConsumer returns sarama's defaults, but for where a new group begins and the version of the protocol.
func saramaConsumer() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	return config
}

// consumeSarama decodes nothing: it looks for the id among the headers.
func consumeSarama(ctx context.Context, in input, t *tally) error {
	return consumeGroup(ctx, in, func(m *sarama.ConsumerMessage) error {
		for _, h := range m.Headers {
			if string(h.Key) == "ce_id" {
				t.handle(string(h.Value))
				break
			}
		}
		return nil
	})
}

// consumeSaramaLargeHeap is sarama with the setting of the collector that millrace's programs make.
func consumeSaramaLargeHeap(ctx context.Context, in input, t *tally) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	return consumeSarama(ctx, in, t)
}

func consumeSaramaDecoded(ctx context.Context, in input, t *tally) error {
	return consumeGroup(ctx, in, func(m *sarama.ConsumerMessage) error {
		e, err := binding.ToEvent(ctx, kafka_sarama.NewMessageFromConsumerMessage(m))
		if err != nil {
			return err
		}
		t.handle(e.ID())
		return nil
	})
}

func consumeGroup(ctx context.Context, in input, handle groupHandler) error {
	member, err := sarama.NewConsumerGroup(in.brokers, in.group, saramaConsumer())
	if err != nil {
		return err
	}
	for err == nil && ctx.Err() == nil {
		err = member.Consume(ctx, []string{in.topic}, handle)
	}
	return errors.Join(err, member.Close())
}

// groupHandler handles the messages of a partition one after the other, and marks each.
type groupHandler func(*sarama.ConsumerMessage) error

func (groupHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (groupHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements [sarama.ConsumerGroupHandler].
func (h groupHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		if err := h(m); err != nil {
			return err
		}
		session.MarkMessage(m, "")
	}
	return nil
}
