package eventstoretest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/eventstore"
)

// wantSnapshot checks the snapshot of stream s, "" for none.
func (s stage) wantSnapshot(t *testing.T, schema int, version int64, state string) {
	t.Helper()
	n, err := s.store.LoadSnapshot(t.Context(), "s", schema)
	must(t, err)
	switch {
	case n == nil:
		if version != 0 {
			t.Errorf("no snapshot of schema %d, want version %d", schema, version)
		}
	case n.Stream != "s" || n.Schema != schema || n.Version != version || string(n.State) != state:
		t.Errorf("snapshot %+v, want schema %d, version %d, state %q", n, schema, version, state)
	}
}

func keepsSnapshots(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1", "2", "3"))
	s.wantSnapshot(t, 1, 0, "")
	save := func(schema int, version int64, state string) {
		t.Helper()
		must(t, s.store.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "s", Version: version, Schema: schema, State: []byte(state)}))
	}
	save(1, 2, "two\x00")
	s.wantSnapshot(t, 1, 2, "two\x00")
	save(1, 1, "one") // it comes late
	s.wantSnapshot(t, 1, 2, "two\x00")
	save(1, 3, "")
	s.wantSnapshot(t, 1, 3, "")
	save(2, 1, "other form")
	s.wantSnapshot(t, 2, 1, "other form")
	s.wantSnapshot(t, 1, 0, "")
	must(t, s.store.DeleteSnapshots(t.Context()))
	s.wantSnapshot(t, 2, 0, "")
	s.want(t, "s", "1", "2", "3")

	must(t, s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		in := s.store.In(tx)
		_, err := in.Append(ctx, Write("s", eventstore.Exactly(3), "4"))
		must(t, err)
		must(t, in.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "s", Version: 4, Schema: 1, State: []byte("four")}))
		n, err := in.LoadSnapshot(ctx, "s", 1)
		if err == nil && (n == nil || n.Version != 4) {
			t.Errorf("within the transaction: %+v", n)
		}
		return err
	}))
	s.wantSnapshot(t, 1, 4, "four")
}

func refusesSnapshots(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1"))
	for what, n := range map[string]eventstore.Snapshot{
		"a snapshot of version 2, the stream has 1":          {Stream: "s", Version: 2},
		"a snapshot of version 0, the stream has 1":          {Stream: "s"},
		"a snapshot of version 1, the stream has 0":          {Stream: "nobody", Version: 1},
		"its name must be":                                   {Version: 1},
		"a snapshot of 16777217 bytes, it may have 16777216": {Stream: "s", Version: 1, State: make([]byte, eventstore.MaxSnapshot+1)},
	} {
		wantInvalid(t, s.store.SaveSnapshot(t.Context(), n), what)
	}
	s.wantSnapshot(t, 0, 0, "")
	_, err := s.store.LoadSnapshot(t.Context(), "", 0)
	wantInvalid(t, err, "its name")
}

func upcasts(t *testing.T, s stage) {
	old := Write("s", eventstore.NoStream, "1", "2", "3", "4")
	for i, name := range []string{"paid.v1", "paid.v2", "paid.v3", "settled"} {
		old.Events[i].SetType(name)
	}
	s.append(t, old)
	add := func(suffix string, to string) func(event.Event) (event.Event, error) {
		return func(e event.Event) (event.Event, error) {
			e.SetType(to)
			e.DataEncoded = append(e.DataEncoded, suffix...)
			return e, nil
		}
	}
	s.store = s.kind.Opened(t, s.place, &eventstore.Options{Upcasters: []eventstore.Upcaster{
		{From: "paid.v2", To: "paid.v3", Upcast: add("+3", "paid.v3")},
		{From: "paid.v1", To: "paid.v2", Upcast: add("+2", "paid.v2")},
		{From: "settled", To: "paid.v1"},
	}})
	for i, r := range s.all(t, 0) {
		suffix := []string{"+2+3", "+3", "", "+2+3"}[i]
		if want := string(old.Events[i].DataEncoded) + suffix; r.Event.Type() != "paid.v3" || string(r.Event.DataEncoded) != want {
			t.Errorf("%s: %s with %s, want paid.v3 with %s", r.Event.ID(), r.Event.Type(), r.Event.DataEncoded, want)
		}
	}
	// What is stored stays, so that its repetition is known.
	if a := s.append(t, old)[0]; !a.Repeated {
		t.Errorf("appended again: %+v", a)
	}
}

func tellsUpcasters(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1"))
	failed := errors.New("on purpose")
	from := Event("").Type()
	for want, upcast := range map[string]func(event.Event) (event.Event, error){
		"on purpose":                        func(e event.Event) (event.Event, error) { return e, failed },
		"it returned an event of another t": func(event.Event) (event.Event, error) { return event.Event{}, nil },
		"it changed source or id": func(e event.Event) (event.Event, error) {
			e.SetType("new")
			e.SetID("other")
			return e, nil
		},
	} {
		store := s.kind.Opened(t, s.place, &eventstore.Options{Upcasters: []eventstore.Upcaster{{From: from, To: "new", Upcast: upcast}}})
		_, streamed := store.ReadStream(t.Context(), "s", 0, 1)
		_, all := store.ReadAll(t.Context(), 0, 1)
		for _, err := range []error{streamed, all} {
			unreadable, ok := errors.AsType[*eventstore.UnreadableError](err)
			if !ok || unreadable.Stream != "s" || unreadable.Version != 1 || unreadable.Position < 1 {
				t.Fatalf("error %v, want one about version 1 of s", err)
			}
			wantText(t, err, want)
		}
	}
}

func tellsDamage(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1", "2", "3"))
	for _, damage := range []string{
		"UPDATE millrace_events SET attributes = '{' WHERE version = 2",
		"UPDATE millrace_events SET metadata = '[]' WHERE version = 2",
	} {
		must(t, s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, damage)
			return err
		}))
		before, err := s.store.ReadAll(t.Context(), 0, 10)
		must(t, err)
		if got := ids(before); !slices.Equal(got, []string{"1"}) {
			t.Fatalf("%q come before it, want 1", got)
		}
		_, err = s.store.ReadAll(t.Context(), before[0].Position, 10)
		unreadable, ok := errors.AsType[*eventstore.UnreadableError](err)
		if !ok || unreadable.Stream != "s" || unreadable.Version != 2 {
			t.Errorf("%s: error %v, want one about version 2 of s", damage, err)
		}
	}
}
