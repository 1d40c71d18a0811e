package kafkabinding_test

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// orderCreated is what flows through the project: six attributes, two extensions and a content type, 9 headers in all.
func orderCreated(tb testing.TB) event.Event {
	tb.Helper()
	e := event.New()
	e.SetID("550e8400-e29b-41d4-a716-446655440000")
	e.SetSource("/order-service")
	e.SetType("dev.millrace.order.created.v1")
	e.SetSubject("order-12345")
	e.SetTime(mustTime(tb, "2023-12-01T10:00:00.123Z"))
	e.SetExtension("correlationid", "req-789")
	e.SetExtension("causationid", "user-action-456")
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"orderId":"12345","customerId":"customer-789","amount":99.99}`)
	return e
}

func benchmarkDecode(b *testing.B, mode kafkabinding.Mode) {
	m, err := kafkabinding.Encode(orderCreated(b), mode)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("millrace", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := kafkabinding.Decode(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		record := consumerMessage(m)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sdkDecodeRecord(record); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkEncode(b *testing.B, mode kafkabinding.Mode) {
	e := orderCreated(b)
	b.Run("millrace", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := kafkabinding.Encode(e, mode); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sdkEncodeRecord(e, mode); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeBinary(b *testing.B)     { benchmarkDecode(b, kafkabinding.Binary) }
func BenchmarkDecodeStructured(b *testing.B) { benchmarkDecode(b, kafkabinding.Structured) }
func BenchmarkEncodeBinary(b *testing.B)     { benchmarkEncode(b, kafkabinding.Binary) }
func BenchmarkEncodeStructured(b *testing.B) { benchmarkEncode(b, kafkabinding.Structured) }
