package msktrigger_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

// typical is an event of so many records of 9 headers and about 140 bytes, over three partitions, as Lambda writes it.
func typical(tb testing.TB, n int) []byte {
	tb.Helper()
	records := map[string][]map[string]any{}
	for i := range n {
		m, err := kafkabinding.Encode(orderCreated(i), kafkabinding.Binary)
		if err != nil {
			tb.Fatal(err)
		}
		name := fmt.Sprintf("orders-%d", i/5%3)
		records[name] = append(records[name], map[string]any{
			"topic": "orders", "partition": i / 5 % 3, "offset": 1000 + i, "timestamp": 1764000000000 + i, "timestampType": "CREATE_TIME",
			"key": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "order-%05d", i/5)), "value": base64.StdEncoding.EncodeToString(m.Value),
			"headers": headersOf(m),
		})
	}
	payload, err := json.Marshal(map[string]any{
		"eventSource": "aws:kafka", "eventSourceArn": "arn:aws:kafka:eu-west-1:111122223333:cluster/mill/0a1b2c3d-1",
		"bootstrapServers": "b-1.mill:9098,b-2.mill:9098", "records": records,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return payload
}

// batchOf is an event of one record.
func batchOf(tb testing.TB, e event.Event) []byte {
	tb.Helper()
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{"eventSource": "aws:kafka", "records": map[string]any{"orders-0": []any{map[string]any{
		"topic": "orders", "partition": 0, "offset": 0, "value": base64.StdEncoding.EncodeToString(m.Value), "headers": headersOf(m),
	}}}})
	if err != nil {
		tb.Fatal(err)
	}
	return payload
}

// headersOf returns headers as Lambda writes them: bytes are signed.
func headersOf(m kafkabinding.Message) []map[string][]int8 {
	list := []map[string][]int8{}
	for _, h := range m.Headers {
		signed := make([]int8, len(h.Value))
		for i, b := range h.Value {
			signed[i] = int8(b)
		}
		list = append(list, map[string][]int8{string(h.Key): signed})
	}
	return list
}

func orderCreated(n int) event.Event {
	e := event.New()
	e.SetID(fmt.Sprintf("550e8400-e29b-41d4-a716-%012d", n))
	e.SetSource("/order-service")
	e.SetType(placed)
	e.SetSubject(fmt.Sprintf("order-%05d", n/5))
	e.SetTime(time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC))
	e.SetExtension("correlationid", "req-789")
	e.SetExtension("partitionkey", fmt.Sprintf("order-%05d", n/5))
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"orderId":"order-00001","customerId":"customer-789","amount":99.99,"currency":"USD","items":[{"productId":"prod-456","quantity":2,"price":49.99}]}`)
	return e
}

func BenchmarkDecode(b *testing.B) {
	payload := typical(b, 100)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := msktrigger.Decode(payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInvoke is the whole way of an event, with handlers that do nothing and with handlers that wait.
func BenchmarkInvoke(b *testing.B) {
	b.Run("nothing", func(b *testing.B) { benchmarkInvoke(b, func() {}) })
	b.Run("waiting", func(b *testing.B) { benchmarkInvoke(b, func() { time.Sleep(time.Millisecond) }) })
}

func benchmarkInvoke(b *testing.B, handle func()) {
	handler := func(context.Context, event.Event) ([]event.Event, error) {
		handle()
		return nil, nil
	}
	p, err := pipeline.New("group", []pipeline.Function{{Spec: newWorld().spec, Handler: function.Raw(handler, placed)}}, nil, nil,
		&pipeline.Options{Middleware: middleware.Standard(pipeline.Backoff{First: time.Second, Max: time.Minute})})
	if err != nil {
		b.Fatal(err)
	}
	// A program at work holds something: beside nothing at all, the collector would run all the time.
	held := make([]byte, 64<<20)
	defer runtime.KeepAlive(held)
	trigger, batch := msktrigger.New(p, nil), typical(b, 100)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		if answer, err := trigger.Invoke(ctx, batch); string(answer) != nothing || err != nil {
			b.Fatal(string(answer), err)
		}
		cancel()
	}
}
