package conformance

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/order"
)

// source of every event that the suite sends.
const source = "/conformance"

// eventID is the id of event n of a key: "a/000007".
func eventID(key string, n int) string { return fmt.Sprintf("%s/%06d", key, n) }

// newEvent returns event n of a key, in binary mode. The key is null where key is empty.
func newEvent(key string, n int) *kgo.Record {
	r := &kgo.Record{Value: []byte(`{}`), Headers: attributes(eventID(key, n), key, inType)}
	if key != "" {
		r.Key = []byte(key)
	}
	return r
}

func attributes(id, subject, eventType string) []kgo.RecordHeader {
	headers := []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte(source)},
		{Key: "ce_type", Value: []byte(eventType)},
	}
	if subject != "" {
		headers = append(headers, kgo.RecordHeader{Key: "ce_subject", Value: []byte(subject)})
	}
	return headers
}

// newEvents returns events 0 to n-1 of each key, one of each key after the other.
func newEvents(n int, keys ...string) []*kgo.Record {
	records := make([]*kgo.Record, 0, n*len(keys))
	for i := range n {
		for _, key := range keys {
			records = append(records, newEvent(key, i))
		}
	}
	return records
}

// keys returns n names of keys: a-00, a-01, and so on.
func keys(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("a-%02d", i)
	}
	return names
}

// validOrder is data that fits the schema of an order.Created.
const validOrder = `{"orderId":"order-1","customerId":"customer-1","amount":10.00}`

// newOrder returns an event that says it is an order.Created, with any data.
func newOrder(id, data string) *kgo.Record {
	headers := append(attributes(id, "order-1", order.CreatedType), kgo.RecordHeader{Key: "content-type", Value: []byte("application/json")})
	return &kgo.Record{Key: []byte("order-1"), Value: []byte(data), Headers: headers}
}

// headerOf returns the last value of a header, "" where there is none.
func headerOf(r *kgo.Record, name string) string {
	value := ""
	for _, h := range r.Headers {
		if h.Key == name {
			value = string(h.Value)
		}
	}
	return value
}
