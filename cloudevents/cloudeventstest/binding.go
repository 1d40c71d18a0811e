package cloudeventstest

import (
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// BindingCase is a message and what a decoder of the CloudEvents Kafka binding makes of it: exactly one of Want,
// NotCloudEvent and Fault.
type BindingCase struct {
	Name    string
	Message kafkabinding.Message
	// Want is the event, where the message is one.
	Want *event.Event
	// NotCloudEvent is set where the message does not claim to be a CloudEvent.
	NotCloudEvent bool
	// Fault is set where the message claims to be a CloudEvent and is none. Its Header and Attribute are what counts.
	Fault *kafkabinding.DecodeError
}

// BindingCases returns the cases: those of the conformance suite of the CloudEvents project
// (https://github.com/cloudevents/conformance, features/kafka-protocol-binding.feature), by the names that they have
// there, and more that follow from the binding and the JSON format, or from what package kafkabinding decides where these
// are silent.
func BindingCases() []BindingCase {
	return slices.Concat(conformanceCases(), binaryCases(), binaryFaults(), structuredCases(), structuredFaults(),
		foreignCases())
}

// Headers returns headers from names and values in turn.
func Headers(namesAndValues ...string) []kafkabinding.Header {
	var headers []kafkabinding.Header
	for pair := range slices.Chunk(namesAndValues, 2) {
		headers = append(headers, kafkabinding.Header{Key: []byte(pair[0]), Value: []byte(pair[1])})
	}
	return headers
}

const (
	helloData     = `{"message": "Hello World!"}`
	structuredUTF = "application/cloudevents+json; charset=UTF-8"
)

// helloHeaders are the headers of the conformance suite, those of removed left out.
func helloHeaders(removed ...string) []kafkabinding.Header {
	headers := Headers(
		"ce_specversion", "1.0",
		"ce_id", "1234-1234-1234",
		"ce_type", "com.example.someevent",
		"ce_source", "/mycontext/subcontext",
		"ce_time", "2018-04-05T03:56:24Z",
		"content-type", "application/json",
	)
	return slices.DeleteFunc(headers, func(h kafkabinding.Header) bool {
		return slices.Contains(removed, string(h.Key))
	})
}

// hello returns the event of the conformance suite, changed.
func hello(changes ...func(*event.EventContextV1)) *event.Event {
	ec := &event.EventContextV1{
		ID:              "1234-1234-1234",
		Type:            "com.example.someevent",
		Source:          *types.ParseURIRef("/mycontext/subcontext"),
		Time:            &types.Timestamp{Time: time.Date(2018, time.April, 5, 3, 56, 24, 0, time.UTC)},
		DataContentType: event.StringOfApplicationJSON(),
	}
	for _, change := range changes {
		change(ec)
	}
	return &event.Event{Context: ec, DataEncoded: []byte(helloData)}
}

func conformanceCases() []BindingCase {
	structured := []byte(`
        {
            "specversion": "1.0",
            "type": "com.example.someevent",
            "time": "2018-04-05T03:56:24Z",
            "id": "1234-1234-1234",
            "source": "/mycontext/subcontext",
            "datacontenttype": "application/json",
            "data": ` + helloData + `
        }
        `)
	return []BindingCase{{
		Name:    "Binary content mode",
		Message: kafkabinding.Message{Headers: helloHeaders(), Value: []byte(helloData)},
		Want:    hello(),
	}, {
		Name: "Structured content mode (application/cloudevents+json)",
		Message: kafkabinding.Message{
			Headers: Headers("content-type", "application/cloudevents+json"),
			Value:   structured,
		},
		Want: hello(),
	}, {
		Name: "Structured content mode (application/cloudevents+json; charset=utf-8)",
		Message: kafkabinding.Message{
			Headers: Headers("content-type", "application/cloudevents+json; charset=utf-8"),
			Value:   structured,
		},
		Want: hello(),
	}}
}

// foreignCases are messages that do not claim to be CloudEvents.
func foreignCases() []BindingCase {
	foreign := func(name, value string, namesAndValues ...string) BindingCase {
		return BindingCase{
			Name:          "foreign: " + name,
			Message:       kafkabinding.Message{Value: []byte(value), Headers: Headers(namesAndValues...)},
			NotCloudEvent: true,
		}
	}
	return []BindingCase{
		{Name: "foreign: tombstone", NotCloudEvent: true},
		foreign("no headers", `{"eventId":"1","eventType":"OrderCreated"}`),
		foreign("other headers", `{}`, "eventType", "OrderCreated", "traceparent", "00-1-2-03"),
		foreign("other content type", `{}`, "content-type", "application/json"),
		foreign("content types that stand twice", `{}`, "content-type", "a/b", "content-type", "c/d"),
		foreign("an extension and no attribute", `{}`, "ce_partitionkey", "k"),
		foreign("a header with a bad attribute name", `{}`, "ce_foo_bar", "x"),
		foreign("JSON event without its content type", `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`),
		foreign("header names in other case", helloData,
			"CE_SPECVERSION", "1.0", "Ce_Id", "1", "CE_type", "t", "cE_source", "/s"),
		foreign("content-type in other case", `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`,
			"Content-Type", structuredUTF),
		foreign("HTTP header names", helloData, "ce-specversion", "1.0", "ce-id", "1", "ce-type", "t", "ce-source", "/s"),
		foreign("a name longer than its media type", `{}`, "content-type", "application/cloudevent"),
		foreign("letters beyond ASCII", `{}`, "ce_ıd", "1", "content-type", strings.Repeat("é", 40)),
	}
}
