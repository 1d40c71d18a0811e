package kafkabinding_test

import (
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

func ExampleEncodeKeyed() {
	e := event.New()
	e.SetID("1234-1234-1234")
	e.SetSource("/mycontext/subcontext")
	e.SetType("com.example.someevent")
	e.SetExtension("partitionkey", "mykey")
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"message":"Hello World!"}`)

	for _, mode := range []kafkabinding.Mode{kafkabinding.Binary, kafkabinding.Structured} {
		m, err := kafkabinding.EncodeKeyed(e, mode)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, key %s\n", mode, m.Key)
		for _, h := range m.Headers {
			fmt.Printf("  %s: %s\n", h.Key, h.Value)
		}
		fmt.Printf("  %s\n", m.Value)
	}
	// Output:
	// binary, key mykey
	//   ce_specversion: 1.0
	//   ce_id: 1234-1234-1234
	//   ce_source: /mycontext/subcontext
	//   ce_type: com.example.someevent
	//   ce_partitionkey: mykey
	//   content-type: application/json
	//   {"message":"Hello World!"}
	// structured, key mykey
	//   content-type: application/cloudevents+json; charset=UTF-8
	//   {"specversion":"1.0","id":"1234-1234-1234","source":"/mycontext/subcontext","type":"com.example.someevent","partitionkey":"mykey","datacontenttype":"application/json","data":{"message":"Hello World!"}}
}

func ExampleDecode() {
	for _, m := range []kafkabinding.Message{
		{Headers: []kafkabinding.Header{{Key: []byte("eventType"), Value: []byte("OrderCreated")}}},
		{Headers: []kafkabinding.Header{
			{Key: []byte("ce_specversion"), Value: []byte("1.0")},
			{Key: []byte("ce_id"), Value: []byte("1")},
			{Key: []byte("ce_source"), Value: []byte("/order-service")},
		}},
	} {
		_, err := kafkabinding.Decode(m)
		var defect *kafkabinding.DecodeError
		switch {
		case errors.Is(err, kafkabinding.ErrNotCloudEvent):
			fmt.Println("something else:", err)
		case errors.As(err, &defect):
			fmt.Println("half an event:", defect)
		}
	}
	// Output:
	// something else: not a CloudEvent: no CloudEvents content-type and no ce_ headers
	// half an event: CloudEvent: header "ce_type" is missing
}
