package text_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/pipeline"
)

// at is local, so that lines are the same everywhere.
var at = time.Date(2026, 11, 23, 9, 0, 0, 123_000_000, time.Local) //nolint:gosmopolitan // lines show local time

func record(m kafkabinding.Message) *pipeline.Record {
	return &pipeline.Record{Topic: "order-events", Partition: 2, Offset: 17, Timestamp: at, Message: m}
}

func binary(headers ...string) []kafkabinding.Header {
	list := []kafkabinding.Header{
		{Key: []byte("ce_specversion"), Value: []byte("1.0")},
		{Key: []byte("ce_id"), Value: []byte("e-1")},
		{Key: []byte("ce_source"), Value: []byte("/s")},
		{Key: []byte("ce_type"), Value: []byte("dev.millrace.order.created.v1")},
	}
	for i := 0; i < len(headers); i += 2 {
		list = append(list, kafkabinding.Header{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return list
}

func TestAppendLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		message kafkabinding.Message
		raw     bool
		want    string
	}{
		"binary": {
			message: kafkabinding.Message{
				Key: []byte("order-1"), Value: []byte("{ \"a\":\n 1 }"),
				Headers: binary("ce_correlationid", "req-1", "content-type", "application/json"),
			},
			want: `order-1  order.created.v1  id=e-1  correlation=req-1  {"a":1}`,
		},
		"envelope": {
			message: kafkabinding.Message{Value: []byte(`{"eventId":"e-2","eventType":"OrderPaid","aggregateId":"o","data":{"b":2}}`)},
			want:    `-  order.paid.v1  id=e-2  {"b":2}`,
		},
		"null and empty": {
			message: kafkabinding.Message{Key: []byte{}, Headers: binary()},
			want:    `""  order.created.v1  id=e-1  (null)`,
		},
		"empty data": {
			message: kafkabinding.Message{Value: []byte{}, Headers: binary()},
			want:    `-  order.created.v1  id=e-1  (empty)`,
		},
		"not text": {
			message: kafkabinding.Message{Value: []byte{0xff, 0}, Headers: binary()},
			want:    `-  order.created.v1  id=e-1  (2 bytes, not text)`,
		},
		"no event": {
			message: kafkabinding.Message{Key: []byte("k"), Value: []byte("garbage")},
			want:    `k  not an event: neither a CloudEvent nor a JSON envelope  garbage`,
		},
		"half an event": {
			message: kafkabinding.Message{Value: []byte("x"), Headers: binary()[:2]},
			want:    `-  not an event: CloudEvent: header "ce_source" is missing  x`,
		},
		"a terminal's controls": {
			message: kafkabinding.Message{Key: []byte("\x1b[2J"), Value: []byte("\x1b]0;x\a\u009b\u202e\r\nnext"), Headers: nil},
			want:    `\x1b[2J  not an event: neither a CloudEvent nor a JSON envelope  \x1b]0;x\a\u009b\u202e\r\nnext`,
		},
		"raw data, escaped key": {
			message: kafkabinding.Message{Key: []byte("\x1b[2J"), Value: []byte("\x1b[1m"), Headers: nil},
			raw:     true,
			want:    "\\x1b[2J  not an event: neither a CloudEvent nor a JSON envelope  \x1b[1m",
		},
		"long": {
			message: kafkabinding.Message{Key: []byte(strings.Repeat("k", 200)), Value: []byte(strings.Repeat("v", 5000)), Headers: binary()},
			want: strings.Repeat("k", 128) + "…  order.created.v1  id=e-1  " + strings.Repeat("v", 4096) +
				"… (5000 bytes; --json shows all)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := "2026-11-23 09:00:00.123  2@17  " + test.want + "\n"
			if got := string(text.AppendLine(nil, record(test.message), test.raw)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func ExampleAppendJSON() {
	line, err := text.AppendJSON(nil, &pipeline.Record{
		Topic: "t", Partition: 2, Offset: 17, Timestamp: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		Message: kafkabinding.Message{
			Key: []byte{0xff}, Value: []byte("\x1b[2J\u202e😀\U000e0001"),
			Headers: []kafkabinding.Header{
				{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: nil}, {Key: []byte(""), Value: []byte{}},
			},
		},
	})
	fmt.Printf("%s%v\n", line, err)
	// Output:
	// {"topic":"t","partition":2,"offset":17,"timestamp":"2026-11-23T09:00:00Z","key":{"base64":"/w=="},"headers":[["a","1"],["a",null],["",""]],"value":"\u001b[2J\u202e😀\udb40\udc01","error":"neither a CloudEvent nor a JSON envelope"}
	// <nil>
}

func TestAppendJSONHoldsTheEvent(t *testing.T) {
	t.Parallel()
	m := kafkabinding.Message{Value: []byte("{\"a\":\n[1]}"), Headers: binary("content-type", "application/json")}
	line, err := text.AppendJSON(nil, record(m))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(line), "\n") != 1 {
		t.Errorf("%q is not one line", line)
	}
	var got struct {
		Key, Error any
		Event      struct {
			ID, Type string
			Data     struct{ A []int }
		}
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if got.Key != nil || got.Error != nil || got.Event.ID != "e-1" || len(got.Event.Data.A) != 1 {
		t.Errorf("got %+v", got)
	}
}

// No record, whatever its bytes, makes a terminal do anything, and every one becomes a JSON object on a line.
func TestNoRecordDoesHarm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 40), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }))
		m := kafkabinding.Message{Key: part.Draw(t, "key"), Value: part.Draw(t, "value")}
		if rapid.Bool().Draw(t, "event") {
			m.Headers = binary("ce_subject", string(part.Draw(t, "subject")), string(part.Draw(t, "name")), "x")
		}
		m.Headers = append(m.Headers, kafkabinding.Header{Key: part.Draw(t, "header"), Value: part.Draw(t, "header value")})
		object, err := text.AppendJSON(nil, record(m))
		if err != nil || !json.Valid(object) {
			t.Fatalf("%v: %s", err, object)
		}
		for _, shown := range [][]byte{object, text.AppendLine(nil, record(m), false)} {
			if i := bytes.IndexFunc(shown, harmful); i != len(shown)-1 || !utf8.Valid(shown) {
				t.Fatalf("byte %d of %q does harm", i, shown)
			}
		}
	})
}

func harmful(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

func TestEscapingJSONKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "text")
		line, err := text.AppendJSONLine(nil, want)
		var got string
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if err != nil || got != want {
			t.Fatalf("%q came back as %q, %v", want, got, err)
		}
	})
}
