package kafkabinding_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// The SDK's codec, behind our Message.

func consumerMessage(m kafkabinding.Message) *sarama.ConsumerMessage {
	record := &sarama.ConsumerMessage{Topic: "order-events", Partition: 2, Offset: 1234, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, &sarama.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return record
}

func sdkDecodeRecord(record *sarama.ConsumerMessage) (*event.Event, error) {
	return binding.ToEvent(context.Background(), kafka_sarama.NewMessageFromConsumerMessage(record))
}

func sdkEncodeRecord(e event.Event, mode kafkabinding.Mode) (*sarama.ProducerMessage, error) {
	ctx := context.Background()
	if mode == kafkabinding.Structured {
		ctx = binding.WithForceStructured(ctx)
	}
	record := &sarama.ProducerMessage{Topic: "order-events"}
	return record, kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), record)
}

func mustTime(tb testing.TB, text string) time.Time {
	tb.Helper()
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// sdkDecode decodes m by the SDK, and takes out the coordinates of the broker that it puts among the extensions.
func sdkDecode(m kafkabinding.Message) (_ event.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the SDK panicked: %v", v)
		}
	}()
	e, err := sdkDecodeRecord(consumerMessage(m))
	if err != nil {
		return event.Event{}, err
	}
	for _, name := range []string{"kafkatopic", "kafkapartition", "kafkaoffset"} {
		e.SetExtension(name, nil)
	}
	return *e, nil
}

func sdkEncode(e event.Event, mode kafkabinding.Mode) (kafkabinding.Message, error) {
	record, err := sdkEncodeRecord(e, mode)
	if err != nil {
		return kafkabinding.Message{}, err
	}
	var m kafkabinding.Message
	for _, h := range record.Headers {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: h.Key, Value: h.Value})
	}
	if record.Key != nil {
		if m.Key, err = record.Key.Encode(); err != nil {
			return m, err
		}
	}
	if record.Value != nil {
		m.Value, err = record.Value.Encode()
	}
	return m, err
}
