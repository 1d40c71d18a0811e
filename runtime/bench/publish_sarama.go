package main

import (
	"context"
	"errors"
	"sync"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

// saramaProducer returns settings with the guarantees that millrace gives: idempotent, acknowledged by all replicas.
func saramaProducer() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Net.MaxOpenRequests = 1
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	return config
}

// answer returns the record that is published for the event in m.
func answer(ctx context.Context, j *job, m *sarama.ConsumerMessage, t *tally) (*sarama.ProducerMessage, error) {
	e, err := binding.ToEvent(ctx, kafka_sarama.NewMessageFromConsumerMessage(m))
	if err != nil {
		return nil, err
	}
	if err := t.handle(e.ID()); err != nil {
		return nil, err
	}
	out, record := completeOutput(*e), &sarama.ProducerMessage{Topic: j.Output}
	return record, kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&out), record)
}

// publishSarama is a consumer group and an AsyncProducer, without waiting for one record before the next. A message is
// marked when what was published for it is acknowledged.
func publishSarama(ctx context.Context, j *job, t *tally) error {
	producer, err := sarama.NewAsyncProducer(j.Brokers, saramaProducer())
	if err != nil {
		return err
	}
	var acknowledged sync.WaitGroup
	acknowledged.Go(func() {
		for record := range producer.Successes() {
			mark := record.Metadata.(func())
			mark()
		}
	})
	var failed error
	acknowledged.Go(func() {
		for failure := range producer.Errors() {
			failed = failure
		}
	})
	err = consumeGroup(ctx, j, saramaConsumer(), publishingHandler{ctx: ctx, job: j, tally: t, producer: producer})
	producer.AsyncClose()
	acknowledged.Wait()
	return errors.Join(err, failed)
}

// publishingHandler publishes an event for each message of a partition.
type publishingHandler struct {
	ctx      context.Context
	job      *job
	tally    *tally
	producer sarama.AsyncProducer
}

func (publishingHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (publishingHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements [sarama.ConsumerGroupHandler].
func (h publishingHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		record, err := answer(h.ctx, h.job, m, h.tally)
		if err != nil {
			return err
		}
		record.Metadata = func() { session.MarkMessage(m, "") }
		h.producer.Input() <- record
	}
	return nil
}
