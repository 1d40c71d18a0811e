package envelope_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	e := cloudeventstest.Event(t, notification.RequestedType, []byte(`{"amount": 99.990}`))
	e.SetID("1")
	e.SetExtension("aggregateversion", 3)
	e.SetExtension("traceparent", "00-1-2-03")
	got, err := envelope.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"eventId":"1","eventType":"NotificationRequested","aggregateId":"order-12345","version":3,` +
		`"timestamp":"2023-12-01T10:00:00Z","data":{"amount": 99.990},` +
		`"metadata":{"source":"order-service","correlationId":"req-789","causationId":"user-action-456"}}`
	if string(got) != want {
		t.Errorf("envelope is\n%s, want\n%s", got, want)
	}
}

func TestEncodeParts(t *testing.T) {
	t.Parallel()
	source := func(text string) func(*event.Event, *event.EventContextV1) {
		return func(_ *event.Event, ec *event.EventContextV1) { ec.Source = *types.ParseURIRef(text) }
	}
	extension := func(name string, value any) func(*event.Event, *event.EventContextV1) {
		return func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions[name] = value }
	}
	for _, c := range []struct {
		name   string
		change func(*event.Event, *event.EventContextV1)
		want   string // a part of the envelope
		never  string // no part of it
	}{
		{"no version", func(*event.Event, *event.EventContextV1) {}, `"version":1,`, ``},
		{"version as text", extension("aggregateversion", "07"), `"version":7,`, ``},
		{"no time", func(_ *event.Event, ec *event.EventContextV1) { ec.Time = nil }, `"version":1,"data"`, `timestamp`},
		{"zero time", func(_ *event.Event, ec *event.EventContextV1) { ec.Time.Time = time.Time{} }, `"version":1,"data"`, `timestamp`},
		{"other zone", func(_ *event.Event, ec *event.EventContextV1) {
			ec.Time.Time = time.Date(2023, time.December, 1, 0, 30, 0, 5e8, time.FixedZone("", 3600))
		}, `"timestamp":"2023-11-30T23:30:00.5Z"`, ``},
		{"no data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = nil }, `Z","metadata"`, `data":n`},
		{"null data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte("null") }, `"data":null,`, ``},
		{"no subject", func(_ *event.Event, ec *event.EventContextV1) { ec.Subject, ec.Extensions["partitionkey"] = nil, "key" }, `"aggregateId":"key"`, ``},
		{"no correlation", func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions = nil }, `{"source":"order-service"}}`, `Id":null`},
		{"correlation of another type", extension("correlationid", int32(7)), `"correlationId":"7"`, ``},
		{"unknown type", func(_ *event.Event, ec *event.EventContextV1) { ec.Type = "com.example.t" }, `"eventType":"com.example.t"`, ``},
		{"known type", func(_ *event.Event, ec *event.EventContextV1) { ec.Type = order.CreatedType }, `"eventType":"OrderCreated"`, ``},
		{"escapes", func(_ *event.Event, ec *event.EventContextV1) { ec.ID = `a"\` }, `"eventId":"a\"\\"`, ``},
		{"source with spaces", source("/Order%20Service"), `"source":"Order Service"`, ``},
		{"source that is not UTF-8", source("/%FF"), `"source":"/%FF"`, ``},
		{"source with a slash more", source("//host/a"), `"source":"//host/a"`, ``},
		{"source that would be a URI", source("/urn:a"), `"source":"/urn:a"`, ``},
		{"source with a query", source("/a?b"), `"source":"/a?b"`, ``},
		{"source with an escaped slash", source("/a%2Fb"), `"source":"/a%2Fb"`, ``},
		{"source that is a slash", source("/"), `"source":"/"`, ``},
		{"source of two parts", source("/a/b"), `"source":"a/b"`, ``},
		{"URI", source("https://e.com/a"), `"source":"https://e.com/a"`, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := cloudeventstest.OrderCreated(t, 1)
			c.change(&e, e.Context.(*event.EventContextV1))
			got, err := envelope.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got), c.want) || c.never != "" && strings.Contains(string(got), c.never) {
				t.Errorf("envelope is %s\nwant %s in it, and not %q", got, c.want, c.never)
			}
			back, err := envelope.Decode(got)
			if err != nil {
				t.Fatal(err)
			}
			if back.Source() != e.Source() {
				t.Errorf("source comes back as %s, was %s", back.Source(), e.Source())
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	for _, c := range []struct {
		name, attribute string
		spoil           func(*event.Event, *event.EventContextV1)
	}{
		{"no context", "specversion", func(e *event.Event, _ *event.EventContextV1) { e.Context = nil }},
		{"no id", "id", func(_ *event.Event, ec *event.EventContextV1) { ec.ID = "" }},
		{"forbidden character", "correlationid", func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions["correlationid"] = "\n" }},
		{"no aggregate", "subject", func(_ *event.Event, ec *event.EventContextV1) { ec.Subject, ec.Extensions = nil, nil }},
		{"blank key", "subject", func(_ *event.Event, ec *event.EventContextV1) { ec.Subject, ec.Extensions["partitionkey"] = nil, " " }},
		{"version", "aggregateversion", func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions["aggregateversion"] = "1.5" }},
		{"text", "data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte("text") }},
		{"empty data", "data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte{} }},
		{"two values", "data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte(`1,"more":2`) }},
		{"names that stand twice", "data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte(`{"a":1,"a":2}`) }},
		{"depth", "data", func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte(deep) }},
		{"size", "data", func(e *event.Event, _ *event.EventContextV1) {
			e.DataEncoded = []byte(`"` + strings.Repeat("x", envelope.MaxSize) + `"`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := cloudeventstest.OrderCreated(t, 1)
			c.spoil(&e, e.Context.(*event.EventContextV1))
			got, err := envelope.Encode(e)
			var refused *envelope.EncodeError
			if !errors.As(err, &refused) || got != nil {
				t.Fatalf("Encode: %.100s, error %v, want an EncodeError", got, err)
			}
			if refused.Attribute != c.attribute {
				t.Errorf("attribute %q is named (%v), want %q", refused.Attribute, err, c.attribute)
			}
		})
	}
}

// TestRoundTrip: an event that goes through an envelope comes back with what envelopes have a place for.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := cloudeventstest.Events().Draw(t, "event")
		ec := e.Context.(*event.EventContextV1)
		value, err := envelope.Encode(e)
		if err != nil {
			refused, ok := errors.AsType[*envelope.EncodeError](err)
			if !ok || (refused.Attribute != "subject" || ec.Subject != nil) &&
				(refused.Attribute != "data" || jsontext.Value(e.DataEncoded).IsValid()) {
				t.Fatal(err)
			}
			return
		}
		got, err := envelope.Decode(value)
		if err != nil {
			t.Fatalf("%v\n%s", err, value)
		}
		if diff := cloudeventstest.Diff(throughEnvelope(t, e), got); diff != "" {
			t.Fatalf("events differ (-want +got):\n%s", diff)
		}
	})
}

func throughEnvelope(t *rapid.T, e event.Event) event.Event {
	e = e.Clone()
	ec := e.Context.(*event.EventContextV1)
	if ec.Subject == nil {
		key, ok := kafkabinding.PartitionKey(e)
		if !ok {
			t.Fatal("neither subject nor partitionkey")
		}
		text := string(key)
		ec.Subject = &text
	}
	if !strings.HasPrefix(ec.Source.String(), "/") && !ec.Source.IsAbs() {
		ec.Source.Path = "/" + ec.Source.String() // a relative source comes back with a slash
		ec.Source.RawQuery = ""
	}
	extensions := map[string]any{"partitionkey": *ec.Subject, "aggregateversion": int32(1)}
	for _, name := range []string{"correlationid", "causationid"} {
		if value, ok := ec.Extensions[name]; ok {
			text, err := types.Format(value)
			if err != nil {
				t.Fatal(err)
			}
			extensions[name] = text
		}
	}
	ec.Extensions, ec.DataSchema, ec.DataContentType = extensions, nil, nil
	if e.DataEncoded != nil {
		ec.DataContentType = event.StringOfApplicationJSON()
	}
	return e
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(figure))
	f.Add([]byte(notificationRequested))
	f.Add([]byte(invalidAggregate))
	f.Add(cloudeventstest.OrderCreatedEnvelope(1))
	for _, members := range []string{
		``, `,"data":null`, `,"version":-1,"metadata":{"source":"50%"}`, `,"metadata":{"source":"/a%2Fb?c#d"}`,
		`,"metadata":{"source":"urn:a"}`, `,"timestamp":"2023-12-01T11:00:00.5+01:00"`, `,"data":{"a":1,"a":2}`,
	} {
		f.Add([]byte(minimal(members)))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := envelope.Decode(value)
		if err != nil {
			var defect *envelope.DecodeError
			if !errors.Is(err, envelope.ErrNotEnvelope) && !errors.As(err, &defect) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if err := kafkabinding.Validate(e); err != nil {
			t.Fatal(err)
		}
		again, err := envelope.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := envelope.Decode(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if _, ok := e.Extensions()[envelope.AggregateVersion]; !ok {
			e.SetExtension(envelope.AggregateVersion, 1)
		}
		cloudeventstest.Equal(t, e, got)
	})
}

func ExampleDecode() {
	e, err := envelope.Decode([]byte(`{
		"eventId": "550e8400-e29b-41d4-a716-446655440000",
		"eventType": "OrderCreated",
		"aggregateId": "order-12345",
		"version": 1,
		"timestamp": "2023-12-01T10:00:00Z",
		"data": {"orderId": "12345", "amount": 99.99},
		"metadata": {"source": "order-service", "correlationId": "req-789"}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e)
	// Output:
	// Context Attributes,
	//   specversion: 1.0
	//   type: dev.millrace.order.created.v1
	//   source: /order-service
	//   subject: order-12345
	//   id: 550e8400-e29b-41d4-a716-446655440000
	//   time: 2023-12-01T10:00:00Z
	//   datacontenttype: application/json
	// Extensions,
	//   aggregateversion: 1
	//   correlationid: req-789
	//   partitionkey: order-12345
	// Data,
	//   {
	//     "orderId": "12345",
	//     "amount": 99.99
	//   }
}
