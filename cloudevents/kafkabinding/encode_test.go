package kafkabinding_test

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

func TestEncodeBinary(t *testing.T) {
	t.Parallel()
	e := orderCreated(t)
	e.SetDataSchema("urn:schema:1")
	e.SetExtension("amount", 7)
	e.SetTime(mustTime(t, "2023-12-01T11:00:00.500+01:00"))
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	want := kafkabinding.Message{
		Value: []byte(`{"orderId":"12345","customerId":"customer-789","amount":99.99}`),
		Headers: cloudeventstest.Headers(
			"ce_specversion", "1.0",
			"ce_id", "550e8400-e29b-41d4-a716-446655440000",
			"ce_source", "/order-service",
			"ce_type", "dev.millrace.order.created.v1",
			"ce_subject", "order-12345",
			"ce_time", "2023-12-01T10:00:00.5Z",
			"ce_dataschema", "urn:schema:1",
			"ce_amount", "7",
			"ce_causationid", "user-action-456",
			"ce_correlationid", "req-789",
			"content-type", "application/json",
		),
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}
}

func TestEncodeStructured(t *testing.T) {
	t.Parallel()
	e := orderCreated(t)
	e.SetExtension("amount", 7)
	e.SetExtension("bytes", []byte{1, 2})
	m, err := kafkabinding.Encode(e, kafkabinding.Structured)
	if err != nil {
		t.Fatal(err)
	}
	want := kafkabinding.Message{
		Value: []byte(`{"specversion":"1.0","id":"550e8400-e29b-41d4-a716-446655440000","source":"/order-service",` +
			`"type":"dev.millrace.order.created.v1","subject":"order-12345","time":"2023-12-01T10:00:00.123Z",` +
			`"amount":7,"bytes":"AQI=","causationid":"user-action-456","correlationid":"req-789",` +
			`"datacontenttype":"application/json",` +
			`"data":{"orderId":"12345","customerId":"customer-789","amount":99.99}}`),
		Headers: cloudeventstest.Headers("content-type", "application/cloudevents+json; charset=UTF-8"),
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}
}

func TestEncodeStructuredData(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999)
	for _, c := range []struct {
		name, contentType, data string
		base64                  bool
		want                    string // how the value ends
	}{
		{"JSON", "application/json", ` [1] `, false, `,"data": [1] }`},
		{"no type is JSON", "", `{}`, false, `,"data":{}}`},
		{"names that stand twice", "text/json", `{"a":1,"a":1}`, false, `,"data":{"a":1,"a":1}}`},
		{"no JSON", "application/json", `{`, false, `,"data_base64":"ew=="}`},
		{"more than one value", "application/json", `1,"id":2`, false, `,"data_base64":"MSwiaWQiOjI="}`},
		{"empty JSON", "application/json", ``, false, `,"data_base64":""}`},
		{"text", "text/plain", "a\"\n<é", false, `,"data":"a\"\n<é"}`},
		{"empty text", "text/plain", "", false, `,"data":""}`},
		{"text that is not UTF-8", "text/plain", "\xff", false, `,"data_base64":"/w=="}`},
		{"binary", "application/json", `{}`, true, `,"data_base64":"e30="}`},
		{"as deep as can be read", "application/json", deep, false, `]]}`},
		{"deeper", "application/json", "[" + deep + "]", false, `XV0="}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := orderCreated(t)
			e.SetDataContentType(c.contentType)
			e.DataEncoded, e.DataBase64 = []byte(c.data), c.base64
			m, err := kafkabinding.Encode(e, kafkabinding.Structured)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(m.Value), c.want) {
				t.Errorf("value ends with %s, want %s", m.Value[max(0, len(m.Value)-80):], c.want)
			}
			got, err := kafkabinding.Decode(m)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(got.Data())) != strings.TrimSpace(c.data) || got.Data() == nil {
				t.Errorf("data read back is %q", got.Data())
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	for name, c := range map[string]struct {
		attribute string
		spoil     func(*event.Event, *event.EventContextV1)
	}{
		"no context":          {"specversion", func(e *event.Event, _ *event.EventContextV1) { e.Context = nil }},
		"nil context":         {"specversion", func(e *event.Event, _ *event.EventContextV1) { e.Context = (*event.EventContextV1)(nil) }},
		"0.3":                 {"specversion", func(e *event.Event, _ *event.EventContextV1) { e.SetSpecVersion("0.3") }},
		"field error":         {"id", func(e *event.Event, _ *event.EventContextV1) { e.SetID("") }},
		"no id":               {"id", func(_ *event.Event, ec *event.EventContextV1) { ec.ID = "" }},
		"blank id":            {"id", func(_ *event.Event, ec *event.EventContextV1) { ec.ID = " \u00a0" }},
		"no type":             {"type", func(_ *event.Event, ec *event.EventContextV1) { ec.Type = "" }},
		"control character":   {"type", func(_ *event.Event, ec *event.EventContextV1) { ec.Type = "a\tb" }},
		"no source":           {"source", func(_ *event.Event, ec *event.EventContextV1) { ec.Source = types.URIRef{} }},
		"blank source":        {"source", func(_ *event.Event, ec *event.EventContextV1) { ec.Source.URL = url.URL{Opaque: " ", Path: "/"} }},
		"source that is none": {"source", func(_ *event.Event, ec *event.EventContextV1) { ec.Source.URL = url.URL{Host: "[::1"} }},
		"empty subject":       {"subject", func(_ *event.Event, ec *event.EventContextV1) { ec.Subject = new(string) }},
		"year 10000": {"time", func(_ *event.Event, ec *event.EventContextV1) {
			ec.Time.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		}},
		"year -1": {"time", func(_ *event.Event, ec *event.EventContextV1) {
			ec.Time.Time = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)
		}},
		"relative dataschema":  {"dataschema", func(_ *event.Event, ec *event.EventContextV1) { ec.DataSchema = types.ParseURI("/s") }},
		"empty content type":   {"datacontenttype", func(_ *event.Event, ec *event.EventContextV1) { ec.DataContentType = new(string) }},
		"bad content type":     {"datacontenttype", func(_ *event.Event, ec *event.EventContextV1) { *ec.DataContentType = "a b" }},
		"extension name":       {"Foo", extensionOf("Foo", "x")},
		"long extension name":  {long[:63] + "_", extensionOf(long[:63]+"_"+long, "x")},
		"empty extension name": {"", extensionOf("", "x")},
		"reserved name":        {"data", extensionOf("data", "x")},
		"attribute's name":     {"subject", extensionOf("subject", "x")},
		"extension's text":     {"x", extensionOf("x", "\xff")},
		"extension's type":     {"x", extensionOf("x", struct{}{})},
		"extension's range":    {"x", extensionOf("x", int64(1)<<31)},
		"extension's time":     {"x", extensionOf("x", types.Timestamp{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})},
	} {
		for _, mode := range modes {
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				e := orderCreated(t)
				c.spoil(&e, e.Context.(*event.EventContextV1))
				m, err := kafkabinding.Encode(e, mode)
				var refused *kafkabinding.EncodeError
				if !errors.As(err, &refused) {
					t.Fatalf("Encode: %v, message %v, want an EncodeError", err, m)
				}
				if refused.Attribute != c.attribute {
					t.Errorf("attribute %q is named (%v), want %q", refused.Attribute, err, c.attribute)
				}
				if diff := cmp.Diff(err, kafkabinding.Validate(e)); diff != "" {
					t.Errorf("Validate differs (-Encode +Validate):\n%s", diff)
				}
			})
		}
	}
}

func extensionOf(name string, value any) func(*event.Event, *event.EventContextV1) {
	return func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions[name] = value }
}

func TestEncodeLeavesUnsetOut(t *testing.T) {
	t.Parallel()
	e := orderCreated(t)
	ec := e.Context.(*event.EventContextV1)
	ec.Time.Time = time.Time{}
	ec.Extensions["correlationid"] = nil
	for _, mode := range modes {
		m, err := kafkabinding.Encode(e, mode)
		if err != nil {
			t.Fatal(err)
		}
		text := string(m.Value)
		for _, h := range m.Headers {
			text += " " + string(h.Key)
		}
		if strings.Contains(text, "time") || strings.Contains(text, "correlationid") {
			t.Errorf("%s: unset attributes are written: %s", mode, text)
		}
	}
}

func TestEncodeUnknownMode(t *testing.T) {
	t.Parallel()
	if _, err := kafkabinding.Encode(orderCreated(t), 7); err == nil || !strings.Contains(err.Error(), "mode 7") {
		t.Errorf("Encode in mode 7: %v", err)
	}
}

// TestEncodeValid: what the SDK's validation refuses, Encode refuses.
func TestEncodeRefusesWhatSDKRefuses(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.SampledFrom([]string{"", " ", "a", "/", "#", "a b", "a/b"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		subject, contentType := text.Draw(t, "subject"), text.Draw(t, "content type")
		e := event.Event{Context: &event.EventContextV1{
			ID: text.Draw(t, "id"), Type: text.Draw(t, "type"), Source: types.URIRef{URL: url.URL{Path: text.Draw(t, "source")}},
			Subject: &subject, DataContentType: &contentType,
			DataSchema: &types.URI{URL: url.URL{Scheme: text.Draw(t, "scheme"), Host: "h"}},
		}}
		if err := e.Validate(); err != nil && kafkabinding.Validate(e) == nil {
			t.Fatalf("the SDK: %v", err)
		}
	})
}

// TestHeadersDoNotOverlap: a header's bytes have no room behind them that is another's.
func TestHeadersDoNotOverlap(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		m, err := kafkabinding.Encode(orderCreated(t), mode)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(m.Value)
		for i := range m.Headers {
			h := &m.Headers[i]
			_, _ = append(h.Key, "overwritten"...), append(h.Value, "overwritten"...)
		}
		_ = append(m.Value, "overwritten"...)
		again, err := kafkabinding.Encode(orderCreated(t), mode)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(again, m); diff != "" || !slices.Equal(want, m.Value) {
			t.Errorf("%s: appending changed the message:\n%s", mode, diff)
		}
	}
}

func TestPartitionKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value any
		want  string
		ok    bool
	}{
		"string":  {"order-12345", "order-12345", true},
		"integer": {int32(7), "7", true},
		"empty":   {"", "", false},
		"unset":   {nil, "", false},
		"no type": {struct{}{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := orderCreated(t)
			e.Context.(*event.EventContextV1).Extensions["partitionkey"] = c.value
			if key, ok := kafkabinding.PartitionKey(e); ok != c.ok || string(key) != c.want || ok == (key == nil) {
				t.Errorf("PartitionKey is %q, %t, want %q, %t", key, ok, c.want, c.ok)
			}
			for _, mode := range []kafkabinding.Mode{kafkabinding.Binary, kafkabinding.Structured} {
				m, err := kafkabinding.EncodeKeyed(e, mode)
				if name == "no type" {
					if err == nil {
						t.Errorf("%s: encoded %+v", mode, m)
					}
				} else if err != nil || string(m.Key) != c.want || c.ok == (m.Key == nil) {
					t.Errorf("%s: the key is %q, error %v, want %q", mode, m.Key, err, c.want)
				}
			}
		})
	}
	if key, ok := kafkabinding.PartitionKey(orderCreated(t)); ok || key != nil {
		t.Errorf("without the extension PartitionKey is %q, %t", key, ok)
	}
	if key, ok := kafkabinding.PartitionKey(event.Event{}); ok || key != nil {
		t.Errorf("of the zero event PartitionKey is %q, %t", key, ok)
	}
}

// TestEncodeExtensions: the extensions follow each other by name, whether they are the usual ones or others.
func TestEncodeExtensions(t *testing.T) {
	t.Parallel()
	values := map[string]any{"req-789": "req-789", "Grüße": "Grüße", "": "", "7": 7, "true": true, "unset": nil}
	e := orderCreated(t)
	rapid.Check(t, func(t *rapid.T) {
		extensions := map[string]any{}
		var want []string
		for _, name := range []string{"a", "causationid", "correlationid", "partitionkey", "traceparent", "tracestate", "z"} {
			if !rapid.Bool().Draw(t, name) {
				continue
			}
			text := rapid.SampledFrom(slices.Sorted(maps.Keys(values))).Draw(t, "value of "+name)
			extensions[name] = values[text]
			if values[text] != nil {
				want = append(want, "ce_"+name, text)
			}
		}
		e.Context.(*event.EventContextV1).Extensions = extensions
		m, err := kafkabinding.EncodeKeyed(e, kafkabinding.Binary)
		if err != nil {
			t.Fatal(err)
		}
		if key, _ := kafkabinding.PartitionKey(e); (key == nil) != (m.Key == nil) || !slices.Equal(key, m.Key) {
			t.Fatalf("the key is %q, want %q", m.Key, key)
		}
		got := m.Headers[6 : len(m.Headers)-1] // between ce_time and content-type
		if diff := cmp.Diff(cloudeventstest.Headers(want...), got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("headers of extensions differ (-want +got):\n%s", diff)
		}
	})
}

// TestEncodeUsualExtensions: an event whose extensions are all usual ones has them by name, too.
func TestEncodeUsualExtensions(t *testing.T) {
	t.Parallel()
	e := orderCreated(t)
	e.SetExtension("tracestate", "a=b")
	e.SetExtension("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	e.SetExtension("partitionkey", "order-12345")
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	want := cloudeventstest.Headers(
		"ce_causationid", "user-action-456", "ce_correlationid", "req-789", "ce_partitionkey", "order-12345",
		"ce_traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "ce_tracestate", "a=b",
	)
	if diff := cmp.Diff(want, m.Headers[6:len(m.Headers)-1]); diff != "" {
		t.Errorf("headers of extensions differ (-want +got):\n%s", diff)
	}
}
