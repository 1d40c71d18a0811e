package main

import (
	"context"
	"sync"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
)

// saramaPublisher is sarama's AsyncProducer, fed by the SDK's encoder, which sets the key as well.
type saramaPublisher struct {
	topic    string
	producer sarama.AsyncProducer
	drained  sync.WaitGroup
}

func openSarama(brokers []string, topic string, acked func(error)) (publisher, error) {
	producer, err := sarama.NewAsyncProducer(brokers, saramaProducer())
	if err != nil {
		return nil, err
	}
	p := &saramaPublisher{topic: topic, producer: producer}
	p.drained.Go(func() {
		for range producer.Successes() {
			acked(nil)
		}
	})
	p.drained.Go(func() {
		for failed := range producer.Errors() {
			acked(failed)
		}
	})
	return p, nil
}

func (p *saramaPublisher) publish(ctx context.Context, e event.Event) error {
	record := &sarama.ProducerMessage{Topic: p.topic}
	if err := kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), record); err != nil {
		return err
	}
	select {
	case p.producer.Input() <- record:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *saramaPublisher) close() error {
	p.producer.AsyncClose()
	p.drained.Wait()
	return nil
}
