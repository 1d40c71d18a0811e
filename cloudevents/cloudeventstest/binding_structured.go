package cloudeventstest

import (
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// helloObject is the conformance suite's event in JSON, open for more members.
const helloObject = `{"specversion":"1.0","id":"1234-1234-1234","type":"com.example.someevent",` +
	`"source":"/mycontext/subcontext","time":"2018-04-05T03:56:24Z"`

// structured returns a case of the conformance suite's event without data and data type, and with more members.
func structured(name, members string, data []byte, changes ...func(*event.EventContextV1)) BindingCase {
	want := hello(append([]func(*event.EventContextV1){func(ec *event.EventContextV1) { ec.DataContentType = nil }},
		changes...)...)
	want.DataEncoded = data
	return BindingCase{
		Name:    "structured: " + name,
		Message: kafkabinding.Message{Headers: Headers("content-type", structuredUTF), Value: []byte(helloObject + members + "}")},
		Want:    want,
	}
}

func dataType(text string) func(*event.EventContextV1) {
	return func(ec *event.EventContextV1) { ec.DataContentType = &text }
}

func structuredCases() []BindingCase {
	jsonType := dataType("application/json")
	cases := []BindingCase{
		structured("no data", ``, nil),
		structured("data and no type is JSON", `,"data":{"a":[1,2.50]}`, []byte(`{"a":[1,2.50]}`), jsonType),
		structured("data before its type", `,"data":[1],"datacontenttype":"application/json"`, []byte(`[1]`), jsonType),
		structured("null is data", `,"data":null`, []byte(`null`), jsonType),
		structured("number is data", `,"data":1e400`, []byte(`1e400`), jsonType),
		structured("JSON string keeps its quotes", `,"data":"<a\u0041>"`, []byte(`"<a\u0041>"`), jsonType),
		structured("names that stand twice in data", `,"data":{"a":1,"a":2}`, []byte(`{"a":1,"a":2}`), jsonType),
		structured("another JSON type", `,"datacontenttype":"application/vnd.a+json; v=1","data":{}`, []byte(`{}`),
			dataType("application/vnd.a+json; v=1")),
		structured("text", `,"datacontenttype":"text/plain","data":"a\"\u00e9\n"`, []byte("a\"é\n"), dataType("text/plain")),
		structured("empty text", `,"datacontenttype":"text/plain","data":""`, []byte{}, dataType("text/plain")),
		structured("base64", `,"data_base64":"AP8="`, []byte{0, 0xff}),
		structured("base64 before its type", `,"data_base64":"AP8=","datacontenttype":"a/b"`, []byte{0, 0xff}, dataType("a/b")),
		structured("base64 of nothing", `,"data_base64":""`, []byte{}),
		structured("base64 with escapes", `,"data_base64":"\/\/8="`, []byte{0xff, 0xff}),
		structured("base64 that is null is absent", `,"data_base64":null,"data":1`, []byte(`1`), jsonType),
		structured("attributes that are null are unset", `,"subject":null,"dataschema":null,"datacontenttype":null,"ext":null`, nil),
		structured("string extension", `,"ext":"a\u00e9"`, nil, extension("ext", "aé")),
		structured("empty extension", `,"ext":""`, nil, extension("ext", "")),
		structured("boolean extension", `,"ext":true`, nil, extension("ext", true)),
		structured("false extension", `,"ext":false`, nil, extension("ext", false)),
		structured("integer extension", `,"ext":-2147483648`, nil, extension("ext", int32(-2147483648))),
		structured("escaped name", `,"e\u0078t":1`, nil, extension("ext", int32(1))),
		structured("dataschema", `,"dataschema":"urn:x"`, nil, func(ec *event.EventContextV1) { ec.DataSchema = types.ParseURI("urn:x") }),
	}
	for _, contentType := range []string{
		"Application/CloudEvents+JSON", "application/cloudevents+json ; charset=UTF-8", "application/cloudevents+json;a=b",
	} {
		c := structured("content type "+contentType, ``, nil)
		c.Message.Headers = Headers("content-type", contentType)
		cases = append(cases, c)
	}
	beside := structured("headers beside the object are passed over", ``, nil)
	beside.Message.Headers = append(beside.Message.Headers,
		Headers("ce_id", "other", "ce_id", "twice", "ce_specversion", "0.3", "ce_foo_bar", "x", "ce_time", "never")...)
	return append(cases, beside)
}

func structuredFaults() []BindingCase {
	var cases []BindingCase
	fault := func(attribute, value string) {
		cases = append(cases, BindingCase{
			Name:    "structured fault: " + value,
			Message: kafkabinding.Message{Headers: Headers("content-type", structuredUTF), Value: []byte(value)},
			Fault:   &kafkabinding.DecodeError{Attribute: attribute},
		})
	}
	for _, value := range []string{
		``, ` `, `null`, `[]`, `"text"`, `{`, `{"id"`, `{"id":}`, `{"id":"1",}`, helloObject, helloObject + `}}`,
		helloObject + `} {}`, helloObject + `,"x":"` + "\xff" + `"}`, helloObject + `,"x":"\ud800"}`, "\ufeff" + helloObject + `}`,
	} {
		fault("", value)
	}
	fault("specversion", `{"id":"1","source":"/s","type":"t"}`)
	fault("specversion", `{"specversion":null,"id":"1","source":"/s","type":"t"}`)
	fault("specversion", `{"specversion":1.0,"id":"1","source":"/s","type":"t"}`)
	fault("specversion", `{"specversion":"0.3","id":"1","source":"/s","type":"t"}`)
	fault("id", `{"specversion":"1.0","source":"/s","type":"t"}`)
	fault("id", `{"specversion":"1.0","id":1,"source":"/s","type":"t"}`)
	fault("id", `{"specversion":"1.0","id":"","source":"/s","type":"t"}`)
	fault("id", `{"specversion":"1.0","id":"a\u0000","source":"/s","type":"t"}`)
	fault("source", `{"specversion":"1.0","id":"1","type":"t"}`)
	fault("source", `{"specversion":"1.0","id":"1","source":"","type":"t"}`)
	fault("type", `{"specversion":"1.0","id":"1","source":"/s"}`)
	fault("type", `{"specversion":"1.0","id":"1","source":"/s","type":["t"]}`)
	for attribute, members := range map[string][]string{
		"id":              {`"id":"2"`, `"id":null`, `"i\u0064":"2"`},
		"time":            {`"time":"2018-04-05T03:56:24Z"`},
		"subject":         {`"subject":""`, `"subject":1`, `"subject":"a","subject":"a"`},
		"dataschema":      {`"dataschema":"/relative"`, `"dataschema":""`},
		"datacontenttype": {`"datacontenttype":""`, `"datacontenttype":"a b","data":1`, `"datacontenttype":{}`},
		"data":            {`"data":1,"data":1`, `"datacontenttype":"text/plain","data":{}`, `"datacontenttype":"a/b","data":null`},
		"data_base64":     {`"data_base64":1`, `"data_base64":"?"`, `"data_base64":"AA==","data":1`, `"data_base64":"","data_base64":""`},
		"ext": {`"ext":1.5`, `"ext":1e2`, `"ext":2147483648`, `"ext":{}`, `"ext":[]`, `"ext":"","ext":""`,
			`"ext":null,"ext":null`, `"ext":"\n"`},
		"foo_bar": {`"foo_bar":""`},
		"Ext":     {`"Ext":1`},
		"Data":    {`"Data":1`},
		"":        {`"":1`},
	} {
		for _, member := range members {
			fault(attribute, helloObject+`,`+member+`}`)
		}
	}
	for _, contentType := range []string{
		"application/cloudevents", "application/cloudevents+avro", "application/cloudevents-batch+json",
		"application/cloudevents+json2", "application/cloudeventsx",
	} {
		cases = append(cases, BindingCase{
			Name:    "structured fault: content type " + contentType,
			Message: kafkabinding.Message{Headers: append(helloHeaders("content-type"), Headers("content-type", contentType)...), Value: []byte(helloObject + `}`)},
			Fault:   &kafkabinding.DecodeError{Header: "content-type"},
		})
	}
	return append(cases, BindingCase{
		Name:    "structured fault: content type that stands twice",
		Message: kafkabinding.Message{Headers: Headers("content-type", structuredUTF, "content-type", structuredUTF), Value: []byte(helloObject + `}`)},
		Fault:   &kafkabinding.DecodeError{Header: "content-type"},
	})
}
