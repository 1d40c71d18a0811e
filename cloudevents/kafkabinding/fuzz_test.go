package kafkabinding_test

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// The headers of a fuzzed message are lines "name=value"; without "=" the value is null.

func headersOfLines(lines string) []kafkabinding.Header {
	var headers []kafkabinding.Header
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		h := kafkabinding.Header{Key: []byte(name)}
		if ok {
			h.Value = []byte(value)
		}
		headers = append(headers, h)
	}
	return headers
}

func linesOfHeaders(headers []kafkabinding.Header) string {
	var lines strings.Builder
	for _, h := range headers {
		lines.Write(h.Key)
		if h.Value != nil {
			lines.WriteString("=" + string(h.Value))
		}
		lines.WriteString("\n")
	}
	return lines.String()
}

func FuzzDecode(f *testing.F) {
	for _, c := range cloudeventstest.BindingCases() {
		f.Add(linesOfHeaders(c.Message.Headers), c.Message.Value, c.Message.Value == nil)
	}
	f.Fuzz(func(t *testing.T, headers string, value []byte, null bool) {
		m := kafkabinding.Message{Headers: headersOfLines(headers), Value: value}
		if null {
			m.Value = nil
		} else if value == nil {
			m.Value = []byte{}
		}
		e, err := kafkabinding.Decode(m)
		if err != nil {
			var defect *kafkabinding.DecodeError
			if !errors.Is(err, kafkabinding.ErrNotCloudEvent) && !errors.As(err, &defect) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		checkRoundTrip(t, e)
		if sdkShouldAgree(m) {
			got, err := sdkDecode(m)
			if err != nil {
				t.Fatalf("SDK: %v", err)
			}
			cloudeventstest.Equal(t, asSDKReads(e.Clone(), kafkabinding.Binary), got)
		}
	})
}

// checkRoundTrip fails the test unless e is valid, can be written, read back, and read by the SDK.
func checkRoundTrip(t *testing.T, e event.Event) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatalf("the SDK's validation: %v", err)
	}
	for _, mode := range modes {
		m, err := kafkabinding.Encode(e, mode)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		got, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		want := readBack(t, e, mode)
		if mode == kafkabinding.Structured {
			want.DataEncoded, got.DataEncoded = trimSpace(want.DataEncoded), trimSpace(got.DataEncoded)
			if !got.DataBase64 && want.DataContentType() == "" && want.DataEncoded != nil {
				want.SetDataContentType(event.ApplicationJSON)
			}
			if got.DataBase64 && e.DataContentType() == "" {
				want.Context.(*event.EventContextV1).DataContentType = nil
			}
		}
		cloudeventstest.Equal(t, want, got)
		if mode == kafkabinding.Binary && sdkShouldAgree(m) {
			theirs, err := sdkDecode(m)
			if err != nil {
				t.Fatalf("SDK: %v", err)
			}
			cloudeventstest.Equal(t, asSDKReads(want, mode), theirs)
		}
	}
}

func trimSpace(data []byte) []byte {
	if data == nil {
		return nil
	}
	return append([]byte{}, bytes.TrimSpace(data)...)
}

// sdkShouldAgree tells whether nothing is known that makes the SDK read a message differently that we accept: it is in
// binary mode, no header name folds to another's, none is one of the coordinates, and neither media type nor dataschema
// begins or ends with white space.
func sdkShouldAgree(m kafkabinding.Message) bool {
	var names []string
	for _, h := range m.Headers {
		name := strings.ToLower(string(h.Key))
		if name != string(h.Key) && (strings.HasPrefix(name, "ce_") || name == "content-type") {
			return false
		}
		names = append(names, name)
	}
	for _, name := range []string{"content-type", "ce_dataschema"} {
		if value := headerOf(m, name); strings.TrimSpace(value) != value {
			return false
		}
	}
	for _, name := range []string{"ce_kafkatopic", "ce_kafkapartition", "ce_kafkaoffset"} {
		if slices.Contains(names, name) {
			return false
		}
	}
	return !strings.HasPrefix(strings.ToLower(headerOf(m, "content-type")), "application/cloudevents")
}

func FuzzEncode(f *testing.F) {
	f.Add("1", "/s", "t", "subject", "application/json", "urn:x", "ext", "value", []byte(`{}`), int64(1_700_000_000), false)
	f.Add("", "#", " ", "", "a b", "/", "data", "\n", []byte("\xff"), int64(-1), true)
	f.Add("é", "urn:a", "\x7f", "\ufffe", "text/plain", "http://[::1", "Foo", "\xff", []byte("text"), int64(300_000_000_000), false)
	f.Add("1", "//h/p?q#f", "t", "s", "application/vnd.a+json; a=b", "https://h", "x", "", []byte(`1,"id":2`), int64(0), false)
	f.Fuzz(func(t *testing.T, id, source, eventType, subject, contentType, schema, name, value string, data []byte, seconds int64, binary bool) {
		ec := &event.EventContextV1{
			ID: id, Type: eventType, Source: types.URIRef{URL: url.URL{Path: source}},
			Time: &types.Timestamp{Time: time.Unix(seconds, 0)}, Extensions: map[string]any{name: value},
		}
		if u := types.ParseURIRef(source); u != nil {
			ec.Source = *u
		}
		if subject != "" {
			ec.Subject = &subject
		}
		if contentType != "" {
			ec.DataContentType = &contentType
		}
		if schema != "" {
			ec.DataSchema = types.ParseURI(schema)
		}
		e := event.Event{Context: ec, DataEncoded: data, DataBase64: binary}
		if err := kafkabinding.Validate(e); err != nil {
			if _, ok := errors.AsType[*kafkabinding.EncodeError](err); !ok {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		checkRoundTrip(t, e)
		m, err := sdkEncode(e, kafkabinding.Binary)
		if err != nil {
			t.Fatalf("SDK: %v", err)
		}
		got, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatalf("what the SDK writes: %v", err)
		}
		want := readBack(t, e, kafkabinding.Binary)
		if len(want.DataEncoded) == 0 {
			want.DataEncoded = nil // the SDK writes empty data as none
		}
		cloudeventstest.Equal(t, want, got)
	})
}
