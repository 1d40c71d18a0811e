package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/localdev/cluster"
)

// pace is the time between two events.
const pace = 500 * time.Millisecond

// timeout is how long a request may take.
const timeout = 10 * time.Second

// Run does what happens in a shop, two steps in a second, until ctx ends; then it returns nil. api is the URL of the shop's API;
// without one its customers' requests are left out. A request that fails is one of the things that happen.
func Run(ctx context.Context, client *cluster.Client, shop *Shop, api string) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for n := 0; ; n++ {
		err := do(ctx, client, shop.Next(time.Now()), Format(n%3), api)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sample events: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func do(ctx context.Context, client *cluster.Client, s Step, f Format, api string) error {
	if s.Request != nil {
		if api != "" {
			s.Request.Answered(Post(ctx, api, s.Request), time.Now())
		}
		return nil
	}
	record, err := Record(*s.Event, f)
	if err != nil {
		return err
	}
	return client.ProduceSync(ctx, record).FirstErr()
}

// Post returns the answer to r, the zero Answer where there is none.
func Post(ctx context.Context, api string, r *Request) (a Answer) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(r.Body)
	if err != nil {
		panic(fmt.Sprintf("demo: a request that cannot be written: %v", err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, api+r.Path, bytes.NewReader(body))
	if err != nil {
		return Answer{}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Correlation-ID", r.Correlation)
	request.Header.Set("Idempotency-Key", r.Key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return Answer{}
	}
	defer answer.Body.Close()
	a.Status = answer.StatusCode
	var order struct {
		OrderID string `json:"orderId"`
	}
	if content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err == nil && json.Unmarshal(content, &order) == nil {
		a.OrderID = order.OrderID
	}
	return a
}

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 1 << 20

// Format is a way to write an event.
type Format int

// The formats.
const (
	// Envelope is the tutorial's JSON envelope, with the headers that the tutorial sets.
	Envelope Format = iota
	// Binary and Structured are the modes of the CloudEvents Kafka binding.
	Binary
	Structured
)

// Record returns the record of an event of the catalogue, for the topic that the catalogue names, with the partition key
// as its key.
func Record(e event.Event, f Format) (*kgo.Record, error) {
	t, ok := schemas.Lookup(e.Type())
	if !ok {
		return nil, fmt.Errorf("type %s is not in the catalogue", e.Type())
	}
	key, _ := kafkabinding.PartitionKey(e)
	if f == Envelope {
		value, err := envelope.Encode(e)
		if err != nil {
			return nil, err
		}
		return &kgo.Record{Topic: t.Topic, Key: key, Value: value, Headers: []kgo.RecordHeader{
			{Key: "eventType", Value: []byte(t.Envelope)},
			{Key: "source", Value: []byte(e.Source())},
			{Key: "timestamp", Value: []byte(e.Time().Format(time.RFC3339Nano))},
		}}, nil
	}
	mode := kafkabinding.Binary
	if f == Structured {
		mode = kafkabinding.Structured
	}
	m, err := kafkabinding.Encode(e, mode)
	if err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: t.Topic, Key: key, Value: m.Value}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return record, nil
}
