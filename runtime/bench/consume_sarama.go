package main

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// saramaConsumer returns sarama's defaults, but for where a new group begins and the version of the protocol.
func saramaConsumer() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	return config
}

func consumeSarama(ctx context.Context, j *job, t *tally) error {
	return consumeGroup(ctx, j, saramaConsumer(), findID(t))
}

// consumeSaramaEqual is sarama with the settings that millrace's programs make: of the collector, and of the client.
func consumeSaramaEqual(ctx context.Context, j *job, t *tally) error {
	debug.SetGCPercent(400)
	config, err := kafkaclient.Config{Brokers: j.Brokers}.Sarama(j.Group)
	if err != nil {
		return err
	}
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	return consumeGroup(ctx, j, config, findID(t))
}

// findID decodes nothing: it looks for the id among the headers.
func findID(t *tally) groupHandler {
	return func(m *sarama.ConsumerMessage) error {
		for _, h := range m.Headers {
			if string(h.Key) == "ce_id" {
				return t.handle(string(h.Value))
			}
		}
		return nil
	}
}

func consumeSaramaDecoded(ctx context.Context, j *job, t *tally) error {
	return consumeGroup(ctx, j, saramaConsumer(), groupHandler(func(m *sarama.ConsumerMessage) error {
		e, err := binding.ToEvent(ctx, kafka_sarama.NewMessageFromConsumerMessage(m))
		if err != nil {
			return err
		}
		return t.handle(e.ID())
	}))
}

func consumeGroup(ctx context.Context, j *job, config *sarama.Config, handler sarama.ConsumerGroupHandler) error {
	member, err := sarama.NewConsumerGroup(j.Brokers, j.Group, config)
	if err != nil {
		return err
	}
	for err == nil && ctx.Err() == nil {
		err = member.Consume(ctx, []string{j.Topic}, handler)
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
