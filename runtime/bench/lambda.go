package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/aws/aws-lambda-go/events"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	// batchRecords is how many records a Kafka trigger hands over at once, unless it is told otherwise.
	batchRecords = 100
	batchTopic   = "orders"
	// batchTime is what an invocation has. Nothing here comes near it.
	batchTime = time.Minute
)

// invoking compares how a Lambda function gets from the event of a Kafka trigger to the end of its handler.
func (b *bench) invoking(context.Context) (*figure, error) {
	payload, err := triggerEvent()
	if err != nil {
		return nil, err
	}
	trigger, err := newTrigger()
	if err != nil {
		return nil, err
	}
	return &figure{
		name: "lambda",
		title: fmt.Sprintf("an event of %d records in binary mode over %d partitions, %d KiB of JSON, and a handler that does nothing",
			batchRecords, partitions, len(payload)>>10),
		columns: []column{{name: "records/s"}, {name: "µs/record", decimal: 2}, {name: "allocs/record", decimal: 1}},
		goals:   []goal{ratioGoal(0, 20)},
		peers: []peer{
			{"aws-lambda-go's types and the SDK's decoder", func(ctx context.Context) ([]float64, error) {
				return perRecord(func() error { return handleWithSDK(ctx, payload) })
			}},
			{"millrace msktrigger", func(ctx context.Context) ([]float64, error) {
				return perRecord(func() error { return invoke(ctx, trigger, payload) })
			}},
		},
	}, nil
}

// perRecord measures f, which handles an event.
func perRecord(f func() error) ([]float64, error) {
	values, err := benchmark(f)
	if err != nil {
		return nil, err
	}
	each := values[0] / batchRecords
	return []float64{float64(time.Second) / each, each / float64(time.Microsecond), values[1] / batchRecords}, nil
}

// triggerEvent returns an event as Lambda writes it: partitions in any order, bytes of headers signed.
func triggerEvent() ([]byte, error) {
	records := map[string][]events.KafkaRecord{}
	for n := range batchRecords {
		m, err := kafkabinding.Encode(newEvent(n), kafkabinding.Binary)
		if err != nil {
			return nil, err
		}
		key, _ := place(n)
		p := key % partitions
		name := fmt.Sprintf("%s-%d", batchTopic, p)
		records[name] = append(records[name], events.KafkaRecord{
			Topic:         batchTopic,
			Partition:     int64(p),
			Offset:        int64(len(records[name])),
			Timestamp:     events.MilliSecondsEpochTime{Time: time.Now()},
			TimestampType: "CREATE_TIME",
			Key:           base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "order-%05d", key)),
			Value:         base64.StdEncoding.EncodeToString(m.Value),
			Headers:       triggerHeaders(m.Headers),
		})
	}
	return json.Marshal(events.KafkaEvent{
		EventSource:      "aws:kafka",
		EventSourceARN:   "arn:aws:kafka:eu-west-1:111122223333:cluster/mill/0a1b2c3d-1",
		BootstrapServers: "b-1.mill:9098,b-2.mill:9098",
		Records:          records,
	})
}

func triggerHeaders(headers []kafkabinding.Header) []map[string]events.JSONNumberBytes {
	list := make([]map[string]events.JSONNumberBytes, len(headers))
	for i, h := range headers {
		list[i] = map[string]events.JSONNumberBytes{string(h.Key): h.Value}
	}
	return list
}

// handleWithSDK is what a team writes today: aws-lambda-go decodes the event, the SDK makes an event of each record.
func handleWithSDK(ctx context.Context, payload []byte) error {
	var batch events.KafkaEvent
	if err := json.Unmarshal(payload, &batch); err != nil {
		return err
	}
	for _, records := range batch.Records {
		for i := range records {
			e, err := convertWithSDK(ctx, &records[i])
			if err != nil {
				return err
			}
			if _, err := handleNothing(ctx, *e); err != nil {
				return err
			}
		}
	}
	return nil
}

func convertWithSDK(ctx context.Context, r *events.KafkaRecord) (*event.Event, error) {
	key, keyErr := base64.StdEncoding.DecodeString(r.Key)
	value, valueErr := base64.StdEncoding.DecodeString(r.Value)
	if err := errors.Join(keyErr, valueErr); err != nil {
		return nil, err
	}
	message := &sarama.ConsumerMessage{Topic: r.Topic, Offset: r.Offset, Timestamp: r.Timestamp.Time, Key: key, Value: value}
	message.Partition = int32(r.Partition) //nolint:gosec // Kafka's partitions are 32 bits wide
	for _, header := range r.Headers {
		for name, value := range header {
			message.Headers = append(message.Headers, &sarama.RecordHeader{Key: []byte(name), Value: value})
		}
	}
	return binding.ToEvent(ctx, kafka_sarama.NewMessageFromConsumerMessage(message))
}

func handleNothing(context.Context, event.Event) ([]event.Event, error) { return nil, nil }

// newTrigger returns a trigger whose function does nothing, in the middleware that functions run in.
func newTrigger() (*msktrigger.Trigger, error) {
	f := pipeline.Function{
		Spec: function.Spec{
			Name: "bench", Topic: batchTopic,
			New: func(function.Lookup) (function.Handler, error) { return function.Raw(handleNothing, eventType), nil },
		},
		Handler: function.Raw(handleNothing, eventType),
	}
	backoff := pipeline.Backoff{First: time.Second, Max: time.Minute}
	p, err := pipeline.New("bench", []pipeline.Function{f}, nil, nil, &pipeline.Options{Middleware: middleware.Standard(backoff)})
	if err != nil {
		return nil, err
	}
	return msktrigger.New(p, nil), nil
}

// invoke is one invocation.
func invoke(ctx context.Context, trigger *msktrigger.Trigger, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	answer, err := trigger.Invoke(ctx, payload)
	if err == nil && !bytes.Equal(answer, []byte(`{"batchItemFailures":[]}`)) {
		err = fmt.Errorf("not everything was handled: %s", answer)
	}
	return err
}
