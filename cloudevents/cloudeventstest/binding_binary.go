package cloudeventstest

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// binary returns a case of the conformance suite's event whose header name is set to value; remove names headers to leave
// out.
func binary(name, header, value string, change func(*event.EventContextV1), remove ...string) BindingCase {
	headers := append(helloHeaders(append(remove, header)...), Headers(header, value)...)
	return BindingCase{
		Name:    "binary: " + name,
		Message: kafkabinding.Message{Headers: headers, Value: []byte(helloData)},
		Want:    hello(change),
	}
}

func extension(name string, value any) func(*event.EventContextV1) {
	return func(ec *event.EventContextV1) { ec.Extensions = map[string]any{name: value} }
}

func binaryCases() []BindingCase {
	cases := binaryDataCases()
	for _, id := range []string{"1", " padded ", "Grüße 🌍", "a\u00a0b"} {
		cases = append(cases, binary(fmt.Sprintf("id %q", id), "ce_id", id, func(ec *event.EventContextV1) { ec.ID = id }))
	}
	for _, source := range []string{
		"1-555-123-4567", "/", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "https://github.com/cloudevents",
		"mailto:cncf-wg-serverless@lists.cncf.io", "//host/path?query#fragment", "/a%20b", "?q",
	} {
		cases = append(cases, binary("source "+source, "ce_source", source, func(ec *event.EventContextV1) {
			ec.Source = *types.ParseURIRef(source)
		}))
	}
	for _, text := range []string{
		"2018-04-05T03:56:24.123456789Z", "2018-04-05T03:56:24+02:00", "2018-04-05T03:56:24.5-09:30",
		"2020-02-29T23:59:59Z", "0001-01-01T00:00:01Z", "9999-12-31T23:59:59.999999999Z",
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err) // a mistake in the list above
		}
		cases = append(cases, binary("time "+text, "ce_time", text, func(ec *event.EventContextV1) {
			ec.Time = &types.Timestamp{Time: at}
		}))
	}
	return append(cases,
		binary("subject", "ce_subject", "mynewfile.jpg", func(ec *event.EventContextV1) {
			subject := "mynewfile.jpg"
			ec.Subject = &subject
		}),
		binary("dataschema", "ce_dataschema", "https://example.com/s.json#v2", func(ec *event.EventContextV1) {
			ec.DataSchema = types.ParseURI("https://example.com/s.json#v2")
		}),
		binary("the zero time is none", "ce_time", "0001-01-01T00:00:00Z", func(ec *event.EventContextV1) { ec.Time = nil }),
		binary("no time", "ce_x", "", func(ec *event.EventContextV1) {
			ec.Time, ec.Extensions = nil, map[string]any{"x": ""}
		}, "ce_time"),
		binary("extension that looks like a number", "ce_sampledrate", "30", extension("sampledrate", "30")),
		binary("extension that looks like a boolean", "ce_deprecated", "true", extension("deprecated", "true")),
		binary("extension that begins with a digit", "ce_5g", "x", extension("5g", "x")),
		binary("extension with a long name", "ce_"+strings.Repeat("x", 300), "y", extension(strings.Repeat("x", 300), "y")),
		binary("extension with a long value", "ce_x", strings.Repeat("y", 5000), extension("x", strings.Repeat("y", 5000))),
		binary("extension that names an attribute of the broker", "ce_kafkaoffset", "7", extension("kafkaoffset", "7")),
		binary("headers beside the event", "traceparent", "00-1-2-03", func(*event.EventContextV1) {}),
		binary("header names in other case are other headers", "CE_ID", "2", func(*event.EventContextV1) {}),
		binary("media type with white space around it", "content-type", " text/plain ", dataType(" text/plain ")),
		binary("dataschema with white space behind it", "ce_dataschema", "urn:x ", func(ec *event.EventContextV1) {
			ec.DataSchema = types.ParseURI("urn:x ")
		}),
		binary("media type with parameters", "content-type", "Application/JSON; Charset=utf-8", func(ec *event.EventContextV1) {
			text := "Application/JSON; Charset=utf-8"
			ec.DataContentType = &text
		}),
	)
}

// binaryDataCases are about the data and its type.
func binaryDataCases() []BindingCase {
	with := func(name string, data []byte, contentType string) BindingCase {
		headers, want := helloHeaders("content-type"), hello()
		if contentType == "" {
			want.Context.(*event.EventContextV1).DataContentType = nil
		} else {
			headers = append(headers, Headers("content-type", contentType)...)
			want.Context.(*event.EventContextV1).DataContentType = &contentType
		}
		want.DataEncoded = data
		return BindingCase{
			Name:    "binary: " + name,
			Message: kafkabinding.Message{Key: []byte("key"), Headers: headers, Value: data},
			Want:    want,
		}
	}
	return []BindingCase{
		with("null value is no data", nil, "application/json"),
		with("empty value is empty data", []byte{}, "application/json"),
		with("no content type", []byte{0, 1, 0xff}, ""),
		with("null value and no content type", nil, ""),
		with("data that is not what its type says", []byte("{"), "application/json"),
		with("text", []byte("Grüße"), "text/plain"),
	}
}

// binaryFault returns a case of the conformance suite's event that is spoilt by one more header, or by a header that
// stands in another's place.
func binaryFault(name string, fault kafkabinding.DecodeError, headers []kafkabinding.Header) BindingCase {
	return BindingCase{
		Name:    "binary fault: " + name,
		Message: kafkabinding.Message{Headers: headers, Value: []byte(helloData)},
		Fault:   &fault,
	}
}

func binaryFaults() []BindingCase {
	var cases []BindingCase
	fault := func(name, header, attribute string, headers []kafkabinding.Header) {
		cases = append(cases, binaryFault(name, kafkabinding.DecodeError{Header: header, Attribute: attribute}, headers))
	}
	for _, attribute := range []string{"specversion", "id", "source", "type"} {
		header := "ce_" + attribute
		fault("no "+attribute, header, attribute, helloHeaders(header))
		missing := "specversion" // is looked for first
		if attribute == missing {
			missing = "id"
		}
		fault("only "+attribute, "ce_"+missing, missing, Headers(header, "1.0"))
	}
	bad := func(attribute string, values ...string) {
		header := "ce_" + attribute
		if attribute == "datacontenttype" {
			header = "content-type"
		}
		for _, value := range values {
			headers := append(helloHeaders(header), Headers(header, value)...)
			fault(fmt.Sprintf("%s %q", attribute, value), header, attribute, headers)
		}
		null := append(helloHeaders(header), kafkabinding.Header{Key: []byte(header)})
		fault(attribute+" is null", header, attribute, null)
		twice := append(helloHeaders(header), Headers(header, "x", header, "x")...)
		fault(attribute+" stands twice", header, attribute, twice)
	}
	forbidden := []string{"\xff", "a\nb", "a\x00", "a\x7f", "a\u0085", "a\ufffe", "a\ufdd0", "a\U0001ffff", "\xed\xa0\x80"}
	bad("specversion", "", "0.3", "1.1", "1", "1.0 ", "2.0")
	bad("id", append(forbidden, "", " ", "\u00a0\t")...)
	bad("type", append(forbidden, "", " ")...)
	bad("source", append(forbidden, "", " ", "#", "%", ":", "http://[::1")...)
	bad("subject", append(forbidden, "", " ")...)
	bad("time", "", "yesterday", "2018-04-05", "2018-04-05T03:56:24", "2018-02-29T00:00:00Z", "2018-04-05T24:00:00Z",
		"2018-04-05T03:56:60Z", "2018-04-05 03:56:24Z", "2018-13-05T03:56:24Z", "10000-01-01T00:00:00Z", "1522900584")
	bad("dataschema", "", "/relative", "#", ":", "%")
	bad("datacontenttype", "", " ", "text/", "text/plain; charset", "a b", "\xff")
	bad("myextension", forbidden...)
	for _, name := range []string{"", "foo_bar", "foo-bar", "Foo", "ID", "fö", "foo bar", "\xff"} {
		headers := append(helloHeaders(), Headers("ce_"+name, "x")...)
		fault(fmt.Sprintf("attribute name %q", name), "ce_"+name, name, headers)
	}
	for _, name := range []string{"data", "datacontenttype"} {
		headers := append(helloHeaders(), Headers("ce_"+name, "x")...)
		fault("reserved name "+name, "ce_"+name, name, headers)
	}
	return cases
}
