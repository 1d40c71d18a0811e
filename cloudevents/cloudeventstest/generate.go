package cloudeventstest

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"pgregory.net/rapid"
)

// Events draws valid events with attributes of all types, and data that is absent, empty, JSON, text or binary.
func Events() *rapid.Generator[event.Event] {
	return rapid.Custom(func(t *rapid.T) event.Event {
		ec := &event.EventContextV1{
			ID:     nonBlank().Draw(t, "id"),
			Type:   nonBlank().Draw(t, "type"),
			Source: types.URIRef{URL: *sources().Draw(t, "source")},
		}
		if rapid.Bool().Draw(t, "has subject") {
			subject := nonBlank().Draw(t, "subject")
			ec.Subject = &subject
		}
		if rapid.Bool().Draw(t, "has time") {
			ec.Time = &types.Timestamp{Time: times().Draw(t, "time")}
		}
		if rapid.Bool().Draw(t, "has dataschema") {
			ec.DataSchema = types.ParseURI(rapid.SampledFrom([]string{"urn:schema:1", "https://example.com/s.json?v=1#a"}).Draw(t, "dataschema"))
		}
		if extensions := rapid.MapOfN(extensionNames(), extensionValues(), 0, 12).Draw(t, "extensions"); len(extensions) > 0 {
			ec.Extensions = extensions
		}
		e := event.Event{Context: ec}
		drawData(t, &e, ec)
		return e
	})
}

func drawData(t *rapid.T, e *event.Event, ec *event.EventContextV1) {
	contentType := func(types ...string) {
		text := rapid.SampledFrom(types).Draw(t, "datacontenttype")
		ec.DataContentType = &text
	}
	switch rapid.SampledFrom([]string{"none", "empty", "json", "untyped json", "text", "binary"}).Draw(t, "data") {
	case "empty":
		contentType("text/plain", "application/octet-stream")
		e.DataEncoded = []byte{}
	case "json":
		contentType("application/json", "application/json; charset=utf-8", "text/json")
		e.DataEncoded = []byte(jsonText().Draw(t, "json"))
	case "untyped json":
		e.DataEncoded = []byte(jsonText().Draw(t, "json"))
	case "text":
		contentType("text/plain", "application/xml", "text/csv; header=present")
		e.DataEncoded = []byte(rapid.StringN(1, 40, -1).Draw(t, "text"))
	case "binary":
		contentType("application/octet-stream", "image/png", "application/json")
		e.DataEncoded = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes")
		e.DataBase64 = true
	}
}

// texts draws what the specification allows in a string.
func texts() *rapid.Generator[string] {
	allowed := rapid.Rune().Filter(func(r rune) bool {
		return !unicode.IsControl(r) && !unicode.Is(unicode.Noncharacter_Code_Point, r)
	})
	return rapid.StringOfN(allowed, 0, 40, -1)
}

func nonBlank() *rapid.Generator[string] {
	return texts().Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
}

func sources() *rapid.Generator[*url.URL] {
	fixed := rapid.SampledFrom([]string{
		"/order-service", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "https://user@example.com:80/a%2Fb?q=1#f",
		"mailto:a@example.com", "1-555-123-4567", "//host/path", "?query", "/a/../b", "a:b",
	})
	text := rapid.OneOf(fixed, rapid.Map(nonBlank(), func(s string) string { return "/" + url.PathEscape(s) }))
	return rapid.Map(text, func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			panic(err) // a mistake in this function
		}
		return u
	})
}

func times() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		last := time.Date(9998, time.December, 31, 0, 0, 0, 0, time.UTC).Unix()
		at := time.Unix(rapid.Int64Range(0, last).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		return at.In(time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "minutes east")*60))
	})
}

func extensionNames() *rapid.Generator[string] {
	reserved := []string{"data", "specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype"}
	drawn := rapid.StringMatching(`[a-z0-9]{1,25}`).Filter(func(s string) bool { return !strings.Contains(strings.Join(reserved, " "), s) })
	return rapid.OneOf(rapid.SampledFrom([]string{"partitionkey", "correlationid", "causationid", "traceparent"}), drawn)
}

func extensionValues() *rapid.Generator[any] {
	return rapid.OneOf(
		texts().AsAny(),
		rapid.Bool().AsAny(),
		rapid.Int32().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Map(times(), func(at time.Time) any { return types.Timestamp{Time: at} }),
		rapid.Map(sources(), func(u *url.URL) any { return types.URIRef{URL: *u} }),
		rapid.Just[any](*types.ParseURI("https://example.com/a")),
	)
}

// jsonText draws compact JSON.
func jsonText() *rapid.Generator[string] {
	scalar := rapid.OneOf(rapid.String().AsAny(), rapid.Int().AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil))
	value := rapid.OneOf(scalar, rapid.SliceOfN(scalar, 0, 4).AsAny(), rapid.MapOfN(rapid.String(), scalar, 0, 4).AsAny())
	return rapid.Map(value, func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // a mistake in this function
		}
		return string(text)
	})
}
