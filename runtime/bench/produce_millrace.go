package main

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
)

// millracePublisher is the sink of a function, at its defaults.
type millracePublisher struct {
	topic string
	sink  *kafkasink.Sink
	acked func(error)
}

func openMillrace(brokers []string, topic string, acked func(error)) (publisher, error) {
	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: brokers}, "bench", nil)
	if err != nil {
		return nil, err
	}
	return &millracePublisher{topic: topic, sink: sink, acked: acked}, nil
}

func (p *millracePublisher) publish(ctx context.Context, e event.Event) error {
	return p.sink.SendAsync(ctx, pipeline.Output{Topic: p.topic, Event: e}, p.acked)
}

func (p *millracePublisher) close() error { return p.sink.Close() }
