package eventstoretest

import (
	"bytes"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/runtime/eventstore"
)

func keepsEvents(t *testing.T, s stage) {
	plain := event.New(event.CloudEventsVersionV1)
	plain.SetID("plain")
	plain.SetSource("/x")
	plain.SetType("t")

	full := Event("full ✓ '\"\\ $1 ?1")
	full.SetTime(time.Date(2026, 11, 23, 1, 2, 3, 456_789_012, time.UTC))
	full.SetDataSchema("https://example.org/schema")
	full.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	full.SetExtension("tracestate", "a=1,b=2")
	full.SetExtension("number", int32(-7))
	full.SetExtension("flag", true)

	every := Event("every byte")
	every.SetDataContentType("application/octet-stream")
	every.DataEncoded = make([]byte, 256)
	for i := range every.DataEncoded {
		every.DataEncoded[i] = byte(i)
	}
	every.DataBase64 = true

	spaced := Event("white space")
	spaced.DataEncoded = []byte(" {\"b\": 1,\n \"a\":1.0}\t")

	empty := Event("empty data")
	empty.SetDataContentType("text/plain")
	empty.DataEncoded = []byte{}

	want := []event.Event{plain, full, every, spaced, empty}
	s.append(t, eventstore.Write{Stream: "order-1", Events: want})
	recorded, err := s.store.ReadStream(t.Context(), "order-1", 0, 10)
	must(t, err)
	if len(recorded) != len(want) {
		t.Fatalf("%d events, want %d", len(recorded), len(want))
	}
	for i, r := range recorded {
		cloudeventstest.Equal(t, want[i], r.Event)
		if (r.Event.DataEncoded == nil) != (want[i].DataEncoded == nil) || r.Event.DataBase64 != want[i].DataBase64 {
			t.Errorf("%s: data nil %t, base64 %t", want[i].ID(), r.Event.DataEncoded == nil, r.Event.DataBase64)
		}
		if age := time.Since(r.RecordedAt).Abs(); age > time.Hour || r.RecordedAt.Location() != time.UTC {
			t.Errorf("%s: recorded at %s", want[i].ID(), r.RecordedAt)
		}
	}
}

func takesLimits(t *testing.T, s stage) {
	large := Event("large")
	large.DataEncoded = bytes.Repeat([]byte("x"), eventstore.MaxEvent-1024)
	longest := strings.Repeat("ü", eventstore.MaxStream/2) + "s"
	s.append(t, eventstore.Write{Stream: longest, Events: []event.Event{large}})
	s.want(t, longest, "large")

	many := eventstore.Write{Stream: "many"}
	var want []string
	for i := range eventstore.MaxEvents {
		want = append(want, strconv.Itoa(i))
		many.Events = append(many.Events, Event(want[i]))
	}
	a := s.append(t, many)[0]
	if a.Version != eventstore.MaxEvents || a.Repeated {
		t.Errorf("appended %+v", a)
	}
	s.want(t, "many", want...)
	if again := s.append(t, many)[0]; !again.Repeated || again.Version != a.Version || again.Position != a.Position {
		t.Errorf("repeated %+v, want the place of %+v", again, a)
	}

	// A page ends before it is too large for the memory.
	huge := eventstore.Write{Stream: "huge", Expected: eventstore.Any}
	for i := range 30 {
		large.SetID("huge " + strconv.Itoa(i))
		huge.Events = []event.Event{large}
		s.append(t, huge)
	}
	page, err := s.store.ReadStream(t.Context(), "huge", 0, eventstore.MaxRead)
	must(t, err)
	rest, err := s.store.ReadStream(t.Context(), "huge", int64(len(page)), eventstore.MaxRead)
	must(t, err)
	if len(page) > 18 || len(page)+len(rest) != 30 {
		t.Errorf("pages of %d and %d events, want about 16 and all 30", len(page), len(rest))
	}
}

func refusesTooMuch(t *testing.T, s stage) {
	with := func(change func(*event.Event)) eventstore.Write {
		w := Write("s", eventstore.Any, "1")
		change(&w.Events[0])
		return w
	}
	large := func(id string) event.Event {
		e := Event(id)
		e.DataEncoded = make([]byte, eventstore.MaxEvent-1024)
		return e
	}
	seventeen := eventstore.Write{Stream: "s"}
	for i := range 17 {
		seventeen.Events = append(seventeen.Events, large(strconv.Itoa(i)))
	}
	for what, writes := range map[string][]eventstore.Write{
		"to 0 streams":                  {},
		"to 101 streams":                make([]eventstore.Write, eventstore.MaxWrites+1),
		"stands twice in one append":    {Write("s", 0, "1"), Write("s", 0, "2")},
		"source and id stand twice":     {Write("s", 0, "1"), Write("t", 0, "1")},
		"0 events":                      {{Stream: "s"}},
		"1001 events":                   {{Stream: "s", Events: make([]event.Event, eventstore.MaxEvents+1)}},
		"an append of 17 events":        {seventeen},
		"version is negative":           {Write("s", eventstore.Exactly(-1), "1")},
		`stream "": its name`:           {Write("", 0, "1")},
		`stream "a\x00b": its name`:     {Write("a\x00b", 0, "1")},
		`stream "a\nb": its name`:       {Write("a\nb", 0, "1")},
		`stream "\xff": its name`:       {Write("\xff", 0, "1")},
		"must be 1 to 255 bytes":        {Write(strings.Repeat("s", eventstore.MaxStream+1), 0, "1")},
		`event "1": 1048577 bytes`:      {with(func(e *event.Event) { e.DataEncoded = make([]byte, eventstore.MaxEvent+1) })},
		`event "1": 1048`:               {with(func(e *event.Event) { e.SetExtension("long", strings.Repeat("x", eventstore.MaxEvent)) })},
		`stream "s": `:                  {with(func(e *event.Event) { e.Context.(*event.EventContextV1).ID = "" })},
		`event "1": `:                   {with(func(e *event.Event) { e.Context.(*event.EventContextV1).Type = "" })},
		`stream "nothing"`:              {{Stream: "nothing", Events: []event.Event{{}}}},
		"the metadata must be UTF-8":    {{Stream: "s", Events: []event.Event{Event("1")}, Metadata: map[string]string{"a": strings.Repeat("x", eventstore.MaxMetadata)}}},
		"must be UTF-8 and take at mos": {{Stream: "s", Events: []event.Event{Event("1")}, Metadata: map[string]string{"a": "\xff"}}},
	} {
		_, err := s.store.Append(t.Context(), writes...)
		wantInvalid(t, err, what)
	}
	for _, limit := range []int{-1, 0, eventstore.MaxRead + 1} {
		if _, err := s.store.ReadStream(t.Context(), "s", 0, limit); err == nil {
			t.Errorf("a limit of %d is taken", limit)
		}
	}
	_, err := s.store.ReadStream(t.Context(), "\x00", 0, 1)
	wantInvalid(t, err, "its name")
	if all := s.all(t, 0); len(all) > 0 {
		t.Errorf("stored nevertheless: %q", ids(all))
	}
}

func readsInParts(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1", "2", "3", "4", "5"))
	for _, tc := range []struct {
		after int64
		limit int
		want  string
	}{{0, 2, "1 2"}, {2, 2, "3 4"}, {4, 2, "5"}, {5, 2, ""}, {9, 2, ""}, {0, 5, "1 2 3 4 5"}} {
		page, err := s.store.ReadStream(t.Context(), "s", tc.after, tc.limit)
		must(t, err)
		if got := strings.Join(ids(page), " "); got != tc.want {
			t.Errorf("%d after %d: %q, want %q", tc.limit, tc.after, got, tc.want)
		}
	}
	s.want(t, "nobody")
	if got := strings.Join(ids(s.all(t, 0)), " "); got != "1 2 3 4 5" {
		t.Errorf("all: %q", got)
	}
}

func keepsMetadata(t *testing.T, s stage) {
	metadata := map[string]string{"user": "ü\x00", "address": "", "": "empty"}
	w := Write("s", eventstore.NoStream, "1", "2")
	w.Metadata = metadata
	s.append(t, w)
	s.append(t, Write("s", eventstore.Exactly(2), "3"))
	recorded := s.all(t, 0)
	if len(recorded) != 3 || !maps.Equal(recorded[0].Metadata, metadata) || !maps.Equal(recorded[1].Metadata, metadata) || recorded[2].Metadata != nil {
		t.Errorf("recorded %+v", recorded)
	}
}

func survivesRestart(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1", "2"))
	position := s.all(t, 0)[0].Position
	s.store = s.kind.Opened(t, s.place, nil)
	s.want(t, "s", "1", "2")
	if got := ids(s.all(t, position)); len(got) != 1 || got[0] != "2" {
		t.Errorf("after position %d: %q", position, got)
	}
	if a := s.append(t, Write("s", eventstore.Exactly(2), "3"))[0]; a.Version != 3 {
		t.Errorf("appended %+v", a)
	}
}
