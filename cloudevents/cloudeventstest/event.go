package cloudeventstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/order"
)

// occurred is the time of the events that this package makes.
var occurred = time.Date(2023, time.December, 1, 10, 0, 0, 0, time.UTC)

// Event returns a valid event of a type, with an id of its own. data becomes its JSON; nil is no data, and a []byte is
// taken as it is. Source, subject, partition key, time, correlationid and causationid are set to fixed values, for the
// test to change.
func Event(tb testing.TB, eventType string, data any) event.Event {
	tb.Helper()
	e := event.New()
	e.SetID(uuid.NewString())
	e.SetSource("/order-service")
	e.SetType(eventType)
	e.SetSubject("order-12345")
	e.SetTime(occurred)
	e.SetExtension("partitionkey", "order-12345")
	e.SetExtension("correlationid", "req-789")
	e.SetExtension("causationid", "user-action-456")
	switch data := data.(type) {
	case nil:
		return e
	case []byte:
		e.DataEncoded = data
	default:
		text, err := json.Marshal(data)
		if err != nil {
			tb.Fatalf("cloudeventstest.Event: data of %s: %v", eventType, err)
		}
		e.DataEncoded = text
	}
	e.SetDataContentType(event.ApplicationJSON)
	return e
}

// OrderCreated returns the event that an order was placed, with the data of the n-th order of the load test.
func OrderCreated(tb testing.TB, n int) event.Event {
	tb.Helper()
	e := Event(tb, order.CreatedType, []byte(orderData(n)))
	e.SetSubject(orderID(n))
	e.SetExtension("partitionkey", orderID(n))
	return e
}

// OrderCreatedEnvelope returns the JSON envelope of the n-th order as the load test of the tutorial sends it: without
// causationId, currency and address. The same n gives the same bytes.
func OrderCreatedEnvelope(n int) []byte {
	return fmt.Appendf(nil, `{"eventId":%q,"eventType":"OrderCreated","aggregateId":%q,"version":1,`+
		`"timestamp":"2023-12-01T10:00:00.000Z","data":%s,"metadata":{"source":"load-test","correlationId":%q}}`,
		idOf("event", n), orderID(n), orderData(n), idOf("correlation", n))
}

// Record returns the message of an event in binary mode, keyed by its partitionkey.
func Record(tb testing.TB, e event.Event) kafkabinding.Message {
	tb.Helper()
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		tb.Fatalf("cloudeventstest.Record: %v", err)
	}
	m.Key, _ = kafkabinding.PartitionKey(e)
	return m
}

func orderID(n int) string { return fmt.Sprintf("order-%d", n) }

func orderData(n int) string {
	return fmt.Sprintf(`{"orderId":%q,"customerId":"customer-%d","amount":%d,`+
		`"items":[{"productId":"prod-%d","quantity":%d,"price":%d}]}`,
		orderID(n), n%1000, n%500+10, n%100, n%5+1, n%100+10)
}

func idOf(kind string, n int) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "cloudeventstest:%s:%d", kind, n)).String()
}
