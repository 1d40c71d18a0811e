package envelope_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
)

// The envelopes of the tutorial: the figure of an event's structure, and what its programs send.
const (
	figure = `{
  "eventId": "550e8400-e29b-41d4-a716-446655440000",
  "eventType": "OrderCreated",
  "aggregateId": "order-12345",
  "version": 1,
  "timestamp": "2023-12-01T10:00:00Z",
  "data": {
    "orderId": "12345",
    "customerId": "customer-789",
    "amount": 99.99,
    "currency": "USD",
    "items": [
      {
        "productId": "prod-456",
        "quantity": 2,
        "price": 49.99
      }
    ]
  },
  "metadata": {
    "source": "order-service",
    "correlationId": "req-789",
    "causationId": "user-action-456"
  }
}`
	figureData = `{
    "orderId": "12345",
    "customerId": "customer-789",
    "amount": 99.99,
    "currency": "USD",
    "items": [
      {
        "productId": "prod-456",
        "quantity": 2,
        "price": 49.99
      }
    ]
  }`

	notificationRequested = `{"eventId":"notif-1701424800000","eventType":"NotificationRequested",` +
		`"aggregateId":"notification-12345-payment","version":1,"timestamp":"2023-12-01T10:00:00.123Z",` +
		`"data":{"type":"sms","recipient":"customer-789","template":"payment_confirmation","data":{"orderId":"12345"}},` +
		`"metadata":{"source":"notification-service","causationId":"550e8400-e29b-41d4-a716-446655440000"}}`

	// The integration test of the tutorial sends it, and expects it to fail.
	invalidAggregate = `{"eventId":"test-event-2","eventType":"InvalidEvent","aggregateId":null,"version":1,` +
		`"timestamp":"2023-12-01T10:00:00.000Z","data":{},"metadata":{"source":"test-service"}}`
)

// wanted returns an event as an envelope leads to it.
func wanted(id, eventType, source, aggregate string, at time.Time, data string, extensions map[string]any) event.Event {
	extensions["partitionkey"] = aggregate
	return event.Event{
		Context: &event.EventContextV1{
			ID: id, Type: eventType, Source: *types.ParseURIRef(source), Subject: &aggregate,
			Time: &types.Timestamp{Time: at}, DataContentType: event.StringOfApplicationJSON(), Extensions: extensions,
		},
		DataEncoded: []byte(data),
	}
}

func TestDecodeTutorial(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, time.December, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        event.Event
	}{
		{"figure", figure, wanted("550e8400-e29b-41d4-a716-446655440000", order.CreatedType, "/order-service", "order-12345",
			at, figureData, map[string]any{
				"aggregateversion": int32(1), "correlationid": "req-789", "causationid": "user-action-456",
			})},
		{"load test", string(cloudeventstest.OrderCreatedEnvelope(7)), wanted("1e334a86-14ca-526d-9fd7-d84db6dd5b6e", order.CreatedType,
			"/load-test", "order-7", at,
			`{"orderId":"order-7","customerId":"customer-7","amount":17,"items":[{"productId":"prod-7","quantity":3,"price":17}]}`,
			map[string]any{"aggregateversion": int32(1), "correlationid": "70ef3a26-5a83-564a-9698-66103dd8adaf"})},
		{"notification", notificationRequested, wanted("notif-1701424800000", notification.RequestedType, "/notification-service",
			"notification-12345-payment", at.Add(123*time.Millisecond),
			`{"type":"sms","recipient":"customer-789","template":"payment_confirmation","data":{"orderId":"12345"}}`,
			map[string]any{"aggregateversion": int32(1), "causationid": "550e8400-e29b-41d4-a716-446655440000"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := envelope.Decode([]byte(c.value))
			if err != nil {
				t.Fatal(err)
			}
			cloudeventstest.Equal(t, c.want, got)
		})
	}
}

// minimal returns an envelope with what is required, and more members.
func minimal(members string) string {
	return `{"eventId":"1","eventType":"T","aggregateId":"a"` + members + `}`
}

func TestDecodeLenient(t *testing.T) {
	t.Parallel()
	base := func(change func(*event.Event, *event.EventContextV1)) event.Event {
		aggregate := "a"
		ec := &event.EventContextV1{
			ID: "1", Type: "T", Subject: &aggregate, Source: *types.ParseURIRef("/unknown"),
			Extensions: map[string]any{"partitionkey": "a"},
		}
		e := event.Event{Context: ec}
		change(&e, ec)
		return e
	}
	nothing := func(*event.Event, *event.EventContextV1) {}
	data := func(text string) func(*event.Event, *event.EventContextV1) {
		return func(e *event.Event, ec *event.EventContextV1) {
			e.DataEncoded, ec.DataContentType = []byte(text), event.StringOfApplicationJSON()
		}
	}
	source := func(text string) func(*event.Event, *event.EventContextV1) {
		return func(_ *event.Event, ec *event.EventContextV1) { ec.Source = *types.ParseURIRef(text) }
	}
	extension := func(name string, value any) func(*event.Event, *event.EventContextV1) {
		return func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions[name] = value }
	}
	for members, change := range map[string]func(*event.Event, *event.EventContextV1){
		``: nothing,
		`,"version":null,"timestamp":null,"metadata":null`:                    nothing,
		`,"metadata":{"source":null,"correlationId":null,"causationId":null}`: nothing,
		`,"metadata":{}`: nothing,
		`,"unknown":{"a":[1]},"metadata":{"userId":"u"}`: nothing,
		`,"EventID":"other","Version":2`:                 nothing,
		`,"data":null`:                                   data(`null`),
		`,"data": [ 1.50, 1e400, "\u0041" ] `:            data(`[ 1.50, 1e400, "\u0041" ]`),
		`,"version":0`:                                   extension("aggregateversion", int32(0)),
		`,"version":-2147483648`:                         extension("aggregateversion", int32(-2147483648)),
		`,"metadata":{"correlationId":""}`:               extension("correlationid", ""),
		`,"metadata":{"source":"order-service"}`:         source("/order-service"),
		`,"metadata":{"source":"Order Service?"}`:        source("/Order%20Service%3F"),
		`,"metadata":{"source":"50%"}`:                   source("/50%25"),
		`,"metadata":{"source":"/a/b?c"}`:                source("/a/b?c"),
		`,"metadata":{"source":"//host/a"}`:              source("//host/a"),
		`,"metadata":{"source":"urn:shop:orders"}`:       source("urn:shop:orders"),
		`,"metadata":{"source":"https://e.com/a%2Fb"}`:   source("https://e.com/a%2Fb"),
		`,"timestamp":"2023-12-01T11:00:00+01:00"`: func(_ *event.Event, ec *event.EventContextV1) {
			ec.Time = &types.Timestamp{Time: time.Date(2023, time.December, 1, 10, 0, 0, 0, time.UTC)}
		},
		`,"timestamp":"0001-01-01T00:00:00Z"`: nothing,
	} {
		t.Run(members, func(t *testing.T) {
			t.Parallel()
			got, err := envelope.Decode([]byte(minimal(members)))
			if err != nil {
				t.Fatal(err)
			}
			cloudeventstest.Equal(t, base(change), got)
			if err := kafkabinding.Validate(got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecodeFaults(t *testing.T) {
	t.Parallel()
	type fault struct{ member, value string }
	faults := []fault{
		{"aggregateId", invalidAggregate},
		{"eventId", `{"eventType":"T","aggregateId":"a"}`},
		{"eventId", `{"eventId":null,"eventType":"T","aggregateId":"a"}`},
		{"eventId", `{"eventId":1,"eventType":"T","aggregateId":"a"}`},
		{"eventId", `{"eventId":"","eventType":"T","aggregateId":"a"}`},
		{"eventId", `{"eventId":"a\nb","eventType":"T","aggregateId":"a"}`},
		{"eventId", `{"eventId":null,"eventType":null}`},
		{"eventType", `{"eventId":"1","aggregateId":"a"}`},
		{"a", `{"a":1,"a":2,"eventId":"1"}`},
		{"eventType", `{"eventId":"1","eventType":["T"],"aggregateId":"a"}`},
		{"eventType", `{"eventId":"1","eventType":" ","aggregateId":"a"}`},
		{"aggregateId", `{"eventId":"1","eventType":"T"}`},
		{"aggregateId", `{"eventId":"1","eventType":"T","aggregateId":12}`},
		{"aggregateId", `{"eventId":"1","eventType":"T","aggregateId":""}`},
		{"", `{"eventId":"1","eventType":"T","aggregateId":"a"`},
		{"", `{"eventId":"1",`},
		{"", minimal(``) + `{}`},
		{"", minimal(`,"data":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001))},
		{"data", minimal(`,"data":{"a":{"b":1,"b":2}}`)},
		{"data", minimal(`,"data":1,"data":2`)},
	}
	for member, members := range map[string][]string{
		"version":                {`"version":"1"`, `"version":1.5`, `"version":1e2`, `"version":2147483648`, `"version":true`},
		"timestamp":              {`"timestamp":1701424800000`, `"timestamp":""`, `"timestamp":"yesterday"`, `"timestamp":"2023-12-01"`},
		"metadata":               {`"metadata":"m"`, `"metadata":[]`, `"metadata":{},"metadata":{}`},
		"metadata.source":        {`"metadata":{"source":1}`, `"metadata":{"source":""}`, `"metadata":{"source":"/%"}`, `"metadata":{"source":" "}`},
		"metadata.correlationId": {`"metadata":{"correlationId":1}`, `"metadata":{"correlationId":"\u0000"}`, `"metadata":{"correlationId":"","correlationId":""}`},
		"metadata.causationId":   {`"metadata":{"causationId":{}}`, `"metadata":{"causationId":"\ufffe"}`},
		"eventId":                {`"eventId":"2"`, `"event\u0049d":"2"`},
		"unknown":                {`"unknown":1,"unknown":2`},
	} {
		for _, text := range members {
			faults = append(faults, fault{member, minimal("," + text)})
		}
	}
	for _, c := range faults {
		t.Run(fmt.Sprintf("%.100s", c.value), func(t *testing.T) {
			t.Parallel()
			got, err := envelope.Decode([]byte(c.value))
			var defect *envelope.DecodeError
			if !errors.As(err, &defect) {
				t.Fatalf("Decode: event %v, error %v, want a DecodeError", got, err)
			}
			if defect.Member != c.member {
				t.Errorf("member %q is named (%v), want %q", defect.Member, err, c.member)
			}
		})
	}
}

func TestDecodeForeign(t *testing.T) {
	t.Parallel()
	for name, value := range map[string][]byte{
		"null value":           nil,
		"empty value":          {},
		"text":                 []byte("eventId eventType"),
		"binary":               {0, 0xff},
		"null":                 []byte(`null`),
		"array":                []byte(`[` + figure + `]`),
		"string":               []byte(`"eventId"`),
		"empty object":         []byte(`{}`),
		"other object":         []byte(`{"id":"1","data":{"eventId":"1","eventType":"T"}}`),
		"CloudEvent":           []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`),
		"names in other case":  []byte(`{"eventid":"1","EventType":"T","aggregateId":"a"}`),
		"broken before a name": []byte(`{"a":tru,"eventId":"1"}`),
		"broken object":        []byte(`{`),
		"wrong types":          []byte(`{"version":"1","metadata":1}`),
		"two names":            []byte(`{"a":1,"a":2}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := envelope.Decode(value); !errors.Is(err, envelope.ErrNotEnvelope) {
				t.Errorf("Decode: %v, want ErrNotEnvelope", err)
			}
		})
	}
}

func TestDecodeLimits(t *testing.T) {
	t.Parallel()
	fill := func(size int) []byte {
		empty := minimal(`,"data":""`)
		return []byte(minimal(`,"data":"` + strings.Repeat("x", size-len(empty)) + `"`))
	}
	if _, err := envelope.Decode(fill(envelope.MaxSize)); err != nil {
		t.Errorf("an envelope of MaxSize: %v", err)
	}
	_, err := envelope.Decode(fill(envelope.MaxSize + 1))
	var defect *envelope.DecodeError
	if !errors.As(err, &defect) || len(err.Error()) > 200 {
		t.Errorf("an envelope of more than MaxSize: %.200v", err)
	}
	long := strings.Repeat("x", 10_000)
	for _, value := range []string{minimal(`,"` + long + `":1,"` + long + `":1`), minimal(`,"metadata":{"` + long + `":1,"` + long + `":1}`)} {
		if _, err := envelope.Decode([]byte(value)); err == nil || len(err.Error()) > 200 {
			t.Errorf("error is not bounded: %.300v", err)
		}
	}
}

func TestErrorsHoldNoData(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		minimal(`,"data":{"secret":1,"secret":2}`), minimal(`,"data":secret`), minimal(`,"data":"secret`),
		minimal(`,"version":"secret"`), minimal(`,"timestamp":"secret"`), `{"eventId":["secret"],"eventType":"T"}`,
		minimal(`,"metadata":{"source":"/secret%"}`), minimal(`,"metadata":"secret"`), minimal(`secret`),
	} {
		if _, err := envelope.Decode([]byte(value)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// TestDecodeCopiesData: the event does not change with the buffer that it came from.
func TestDecodeCopiesData(t *testing.T) {
	t.Parallel()
	value := []byte(figure)
	e, err := envelope.Decode(value)
	if err != nil {
		t.Fatal(err)
	}
	clear(value)
	if string(e.Data()) != figureData {
		t.Errorf("data is %s", e.Data())
	}
}
