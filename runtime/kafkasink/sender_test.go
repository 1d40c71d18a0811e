package kafkasink_test

import (
	"context"
	"errors"
	"testing"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// TestSender has the SDK's client publish through a sink, with the key options of kafka_sarama and the encoding options
// of the binding.
func TestSender(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	sink := open(t, broker, nil)
	key := sarama.StringEncoder("chosen")
	for name, test := range map[string]struct {
		aggregate  string
		options    func(context.Context) context.Context
		wantKey    string
		structured bool
	}{
		"partition key":     {aggregate: "order-1", wantKey: "order-1"},
		"no key":            {},
		"chosen key":        {options: func(ctx context.Context) context.Context { return kafka_sarama.WithMessageKey(ctx, key) }, wantKey: "chosen"},
		"partition key won": {aggregate: "order-1", options: func(ctx context.Context) context.Context { return kafka_sarama.WithMessageKey(ctx, key) }, wantKey: "order-1"},
		"mapping skipped":   {aggregate: "order-1", options: kafka_sarama.WithSkipKeyMapping},
		"chosen and skipped": {aggregate: "order-1", options: func(ctx context.Context) context.Context {
			return kafka_sarama.WithSkipKeyMapping(kafka_sarama.WithMessageKey(ctx, key))
		}, wantKey: "chosen"},
		"structured": {aggregate: "order-1", options: binding.WithForceStructured, wantKey: "order-1", structured: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := broker.NewTopic(t, 1)
			c, err := client.New(kafkasink.NewSender(sink, topic))
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if test.options != nil {
				ctx = test.options(ctx)
			}
			if result := c.Send(ctx, newEvent("1", test.aggregate)); !protocol.IsACK(result) {
				t.Fatal(result)
			}
			record := broker.Records(t, topic, 1)[0]
			if string(record.Key) != test.wantKey || (record.Key == nil) != (test.wantKey == "") {
				t.Errorf("key is %q", record.Key)
			}
			if structured := len(record.Headers) == 1; structured != test.structured {
				t.Errorf("headers are %v", record.Headers)
			}
			e, err := kafkabinding.Decode(messageOf(record))
			if err != nil || e.ID() != "1" || e.Subject() != test.aggregate {
				t.Errorf("event is %s, %v", e, err)
			}
		})
	}
}

func TestSenderWithoutData(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	e := newEvent("1", "order-1")
	e.DataEncoded = nil
	if err := kafkasink.NewSender(open(t, broker, nil), topic).Send(t.Context(), binding.ToMessage(&e)); err != nil {
		t.Fatal(err)
	}
	if record := broker.Records(t, topic, 1)[0]; record.Value != nil {
		t.Errorf("value is %q, want null", record.Value)
	}
}

// TestSenderForwards passes on messages that were received, as the SDK's receivers hold them.
func TestSenderForwards(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	in, out := broker.NewTopic(t, 1), broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	sender := kafkasink.NewSender(sink, out)

	received := newEvent("1", "order-1")
	m, err := kafkabinding.Encode(received, kafkabinding.Structured)
	if err != nil {
		t.Fatal(err)
	}
	structured := kafka_sarama.NewMessage(m.Value, string(m.Headers[0].Value), nil)
	var finished finishing
	if err := sender.Send(kafka_sarama.WithSkipKeyMapping(t.Context()), finished.of(structured)); err != nil {
		t.Fatal(err)
	}
	if finished.times != 1 || finished.err != nil {
		t.Errorf("finished %d times, with %v", finished.times, finished.err)
	}

	if err := sink.Send(t.Context(), output(in, received)); err != nil {
		t.Fatal(err)
	}
	binary := kafka_sarama.NewMessageFromConsumerMessage(consumed(broker.Records(t, in, 1)[0]))
	if err := sender.Send(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	for i, r := range broker.Records(t, out, 2) {
		if e, err := kafkabinding.Decode(messageOf(r)); err != nil || e.ID() != "1" {
			t.Errorf("record %d is %s, %v", i, e, err)
		}
	}
}

// consumed returns r as sarama would have.
func consumed(r *kgo.Record) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

// finishing notes how a message was finished.
type finishing struct {
	times int
	err   error
}

func (f *finishing) of(m binding.Message) binding.Message {
	return binding.WithFinish(m, func(err error) {
		f.times++
		f.err = err
	})
}

// TestSenderTellsTheTruth: the message is finished with the outcome, where kafka_sarama says success in any case.
func TestSenderTellsTheTruth(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	sink := open(t, broker, nil)
	topic := runtimetest.UniqueName(t)
	e := newEvent("event-1", "order-1")
	var finished finishing
	err := kafkasink.NewSender(sink, topic).Send(t.Context(), finished.of(binding.ToMessage(&e)))
	wantVerdict(t, err, function.Retry, topic, "event event-1", "does not exist")
	if finished.times != 1 || !errors.Is(finished.err, sarama.ErrUnknownTopicOrPartition) {
		t.Errorf("finished %d times, with %v", finished.times, finished.err)
	}
	c, err := client.New(kafkasink.NewSender(sink, topic))
	if err != nil {
		t.Fatal(err)
	}
	if result := c.Send(t.Context(), e); !protocol.IsUndelivered(result) {
		t.Errorf("the client got %v", result)
	}

	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if err := kafkasink.NewSender(sink, topic).Send(t.Context(), binding.ToMessage(&e)); !errors.Is(err, kafkasink.ErrClosed) {
		t.Errorf("a closed sink says %v", err)
	}
}

func TestSenderRefuses(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	sender := kafkasink.NewSender(open(t, broker, nil), "order-events")
	e := newEvent("1", "order-1")
	unencodable := kafka_sarama.WithMessageKey(t.Context(), brokenKey{})
	e.SetExtension(function.PartitionKey, nil)
	wantVerdict(t, sender.Send(unencodable, binding.ToMessage(&e)), function.DeadLetter, "key", "order-events")
	unknown := kafka_sarama.NewMessage([]byte("no event"), "text/plain", nil)
	wantVerdict(t, sender.Send(t.Context(), unknown), function.DeadLetter, "order-events")
	huge := event.New()
	huge.SetID("huge")
	huge.SetType("t")
	huge.SetSource("/s")
	huge.DataEncoded = make([]byte, kafkasink.DefaultMaxEventBytes)
	wantVerdict(t, sender.Send(t.Context(), binding.ToMessage(&huge)), function.DeadLetter, "event huge")
}

type brokenKey struct{}

func (brokenKey) Encode() ([]byte, error) { return nil, errors.New("no bytes") }
func (brokenKey) Length() int             { return 0 }
