package idempotency

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
)

// anEvent draws an event that can be published.
func anEvent(t *rapid.T) event.Event {
	e := event.New()
	e.SetID(rapid.StringMatching(`[a-zé☃"\\ ]{0,8}x`).Draw(t, "id"))
	e.SetSource(rapid.StringMatching(`/[a-z]{0,8}`).Draw(t, "source"))
	e.SetType(rapid.StringMatching(`[a-z.]{0,8}v1`).Draw(t, "type"))
	if rapid.Bool().Draw(t, "with a time") {
		e.SetTime(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC())
	}
	if rapid.Bool().Draw(t, "with a subject") {
		e.SetSubject(rapid.StringMatching(`[a-z☃]{1,8}`).Draw(t, "subject"))
	}
	if contentType := rapid.SampledFrom([]string{"", "application/json", "text/plain", "application/x+json; a=b"}).Draw(t, "content type"); contentType != "" {
		e.SetDataContentType(contentType)
	}
	e.SetExtension("text", rapid.StringMatching(`[a-z"☃]{0,8}`).Draw(t, "text"))
	e.SetExtension("number", rapid.Int32().Draw(t, "number"))
	e.SetExtension("truth", rapid.Bool().Draw(t, "truth"))
	e.DataBase64 = rapid.Bool().Draw(t, "base64")
	e.DataEncoded = rapid.OneOf(
		rapid.SampledFrom([][]byte{nil, {}, []byte("{ \"n\" : 1.00, \"n\": 2 }\n"), []byte("\x00\xff"), []byte("null")}),
		rapid.SliceOf(rapid.Byte()),
	).Draw(t, "data")
	return e
}

// What is published after a crash is what would have been published before it, in each content mode.
func TestStoredEventsBecomeTheSameRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(anEvent), 1, 3).Draw(t, "events")
		text, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(text)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d events, %v, of %s", len(got), err, text)
		}
		for i := range want {
			for _, mode := range []kafkabinding.Mode{kafkabinding.Binary, kafkabinding.Structured} {
				before, err := kafkabinding.Encode(want[i], mode)
				if err != nil {
					t.Fatal(err)
				}
				after, err := kafkabinding.Encode(got[i], mode)
				if err != nil {
					t.Fatal(err)
				}
				same := mode == kafkabinding.Binary || bytes.Equal(before.Value, after.Value)
				if !same || !reflect.DeepEqual(textOf(before), textOf(after)) {
					t.Fatalf("%s: %q became %q", mode, before, after)
				}
			}
		}
	})
}

// textOf is a message for comparison: null and empty differ.
func textOf(m kafkabinding.Message) []any {
	parts := []any{m.Value == nil, string(m.Value)}
	for _, h := range m.Headers {
		parts = append(parts, string(h.Key), h.Value == nil, string(h.Value))
	}
	return parts
}

func TestNothingIsStoredForNoEvents(t *testing.T) {
	t.Parallel()
	if text, err := encode([]event.Event{}); text != nil || err != nil {
		t.Errorf("encode() = %q, %v", text, err)
	}
}

func TestEventsThatCannotBeStoredAreDeadLettered(t *testing.T) {
	t.Parallel()
	valid := func() event.Event {
		e := event.New()
		e.SetID("1")
		e.SetSource("/s")
		e.SetType("t")
		return e
	}
	nameless, large := valid(), valid()
	nameless.SetID("")
	large.DataEncoded = make([]byte, maxOutcome)
	for name, e := range map[string]event.Event{"nameless": nameless, "large": large, "nothing": {}} {
		_, err := encode([]event.Event{valid(), e})
		if permanent, ok := errors.AsType[*function.PermanentError](err); !ok || permanent.Class != function.ClassOutput {
			t.Errorf("%s: encode() = %v, want a permanent error of the output", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e := event.New()
	e.SetID("1")
	e.SetSource("/s")
	e.SetType("t")
	e.DataEncoded = []byte("data")
	text, err := encode([]event.Event{e, e})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(nil))
	f.Add([]byte(`{"version":2,"events":[]}`))
	f.Add([]byte(`{"version":1,"events":[{"event":{}}]}`))
	f.Add([]byte(`{"version":1,"events":[{"event":null,"base64":true}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := decode(text)
		if err != nil {
			return
		}
		again, err := encode(events)
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", text, err)
		}
		if len(events) == 0 {
			return
		}
		if read, err := decode(again); err != nil || len(read) != len(events) {
			t.Fatalf("%q was read, written and read as %d events, %v", text, len(read), err)
		}
	})
}
