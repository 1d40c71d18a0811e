//go:build !lambda.norpc

package kafkasink

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/protocol"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// NewSender returns a sender of the CloudEvents SDK that publishes to topic through sink, for programs that are written
// with the SDK's client: cloudevents.NewClient(NewSender(sink, "order-events")).
//
// Records are written by the SDK's own codec and as kafka_sarama's options in the context ask for (WithMessageKey,
// WithSkipKeyMapping, binding.WithForceStructured and so on), with two differences: Send returns the error of a sink
// that is closed, and it finishes the message with the result of publishing, where kafka_sarama finishes it with
// success in any case. It may be called concurrently. Errors are those of [Sink.Send]. The sink stays the caller's to
// close.
func NewSender(sink *Sink, topic string) protocol.Sender { return &sender{sink: sink, topic: topic} }

type sender struct {
	sink  *Sink
	topic string
}

// Send implements [protocol.Sender].
func (s *sender) Send(ctx context.Context, m binding.Message, transformers ...binding.Transformer) error {
	err := s.send(ctx, m, transformers)
	if finishErr := m.Finish(err); err == nil {
		err = finishErr
	}
	return err
}

func (s *sender) send(ctx context.Context, m binding.Message, transformers []binding.Transformer) error {
	written, err := s.write(ctx, m, transformers)
	if err != nil {
		return invalid(subject(s.topic, ""), err)
	}
	message, err := messageOf(written)
	if err != nil {
		return invalid(subject(s.topic, ""), err)
	}
	d := newDelivery(s.topic, message, time.Time{})
	d.event = idOf(message)
	return s.sink.produce(ctx, d, s.sink.options.MaxEventBytes)
}

// write has kafka_sarama's sender write m. Its options in the context have no other reader.
func (s *sender) write(ctx context.Context, m binding.Message, transformers []binding.Transformer) (*sarama.ProducerMessage, error) {
	var r recorder
	writer, err := kafka_sarama.NewSenderFromSyncProducer(s.topic, &r)
	if err != nil {
		return nil, err
	}
	if err := writer.Send(ctx, &unfinished{m}, transformers...); err != nil {
		return nil, err
	}
	return r.message, nil
}

// recorder is a producer that keeps what it is given. Only SendMessage is called.
type recorder struct {
	sarama.SyncProducer
	message *sarama.ProducerMessage
}

// SendMessage implements [sarama.SyncProducer].
func (r *recorder) SendMessage(m *sarama.ProducerMessage) (partition int32, offset int64, err error) {
	r.message = m
	return 0, 0, nil
}

// unfinished is a message whose Finish is not passed on.
type unfinished struct{ binding.Message }

// Finish implements [binding.Message].
func (u *unfinished) Finish(error) error { return nil }

// GetWrappedMessage implements [binding.MessageWrapper].
func (u *unfinished) GetWrappedMessage() binding.Message { return u.Message }

// GetAttribute implements [binding.MessageMetadataReader], which every binary message does.
func (u *unfinished) GetAttribute(kind spec.Kind) (spec.Attribute, any) {
	return u.Message.(binding.MessageMetadataReader).GetAttribute(kind)
}

// GetExtension implements [binding.MessageMetadataReader].
func (u *unfinished) GetExtension(name string) any {
	return u.Message.(binding.MessageMetadataReader).GetExtension(name)
}

// messageOf returns the bytes of m.
func messageOf(m *sarama.ProducerMessage) (kafkabinding.Message, error) {
	var out kafkabinding.Message
	var err error
	if m.Key != nil {
		if out.Key, err = m.Key.Encode(); err != nil {
			return out, fmt.Errorf("key: %w", err)
		}
	}
	if m.Value != nil {
		if out.Value, err = m.Value.Encode(); err != nil {
			return out, fmt.Errorf("value: %w", err)
		}
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, kafkabinding.Header(h))
	}
	return out, nil
}

// idOf returns the id of the event in m where a header holds it.
func idOf(m kafkabinding.Message) string {
	for _, h := range m.Headers {
		if string(h.Key) == "ce_id" {
			return string(h.Value)
		}
	}
	return ""
}
