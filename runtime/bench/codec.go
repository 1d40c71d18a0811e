package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

var codecColumns = []column{{name: "ns/op"}, {name: "allocs/op"}, {name: "B/op"}}

// decoding compares how a record becomes an event.
func (b *bench) decoding(context.Context) (*figure, error) {
	m, err := kafkabinding.Encode(newEvent(0), kafkabinding.Binary)
	if err != nil {
		return nil, err
	}
	record := &sarama.ConsumerMessage{Value: m.Value}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, &sarama.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return &figure{
		name:         "decode",
		title:        fmt.Sprintf("one record in binary mode, %d headers, %d bytes of data", len(m.Headers), len(m.Value)),
		columns:      codecColumns,
		lessIsBetter: true,
		goals:        []goal{ratioGoal(0, 7), {column: 1, bound: atMost, limit: 8}},
		peers: []peer{
			{"CloudEvents SDK, kafka_sarama", func(ctx context.Context) ([]float64, error) {
				return benchmark(func() error {
					_, err := binding.ToEvent(ctx, kafka_sarama.NewMessageFromConsumerMessage(record))
					return err
				})
			}},
			{"millrace kafkabinding", func(context.Context) ([]float64, error) {
				return benchmark(func() error {
					_, err := kafkabinding.Decode(m)
					return err
				})
			}},
		},
	}, nil
}

// encoding compares how an event becomes a record, its key included.
func (b *bench) encoding(context.Context) (*figure, error) {
	e := newEvent(0)
	return &figure{
		name:         "encode",
		title:        "the same event to a record in binary mode",
		columns:      codecColumns,
		lessIsBetter: true,
		goals:        []goal{ratioGoal(0, 7)},
		peers: []peer{
			{"CloudEvents SDK, kafka_sarama", func(ctx context.Context) ([]float64, error) {
				return benchmark(func() error {
					var record sarama.ProducerMessage
					return kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), &record)
				})
			}},
			{"millrace kafkabinding", func(context.Context) ([]float64, error) {
				return benchmark(func() error {
					_, err := kafkabinding.EncodeKeyed(e, kafkabinding.Binary)
					return err
				})
			}},
		},
	}, nil
}

// liveHeap stands for what a program at work holds. Beside nothing at all, the collector would run 200 times a second and
// its noise would drown what is measured.
const liveHeap = 64 << 20

// benchmark measures f as go test -bench would, for half a second.
func benchmark(f func() error) ([]float64, error) {
	held := make([]byte, liveHeap)
	defer runtime.KeepAlive(held)
	runtime.GC()
	if flag.Lookup("test.benchtime") == nil {
		testing.Init()
	}
	if err := flag.Set("test.benchtime", "500ms"); err != nil {
		return nil, err
	}
	var problem error
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if problem = f(); problem != nil {
				b.FailNow()
			}
		}
	})
	return []float64{float64(r.NsPerOp()), float64(r.AllocsPerOp()), float64(r.AllocedBytesPerOp())}, problem
}
