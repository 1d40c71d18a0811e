package eventstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
)

// place is where the model has an event.
type place struct {
	stream  string
	version int
}

// machine takes a store and a model of it, lists of ids, through the same steps.
type machine struct {
	store *eventstore.Store
	// run makes names new in a store that is shared.
	run     string
	streams map[string][]string
	all     []string
	places  map[string]place
	after   int64
	seen    []string
}

// writes draws an append to up to three streams of events, some of which are stored already.
func (m *machine) writes(t *rapid.T) []eventstore.Write {
	var writes []eventstore.Write
	used := map[string]bool{}
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 1, 3, rapid.ID[int]).Draw(t, "streams") {
		stream := fmt.Sprintf("%s-%d", m.run, n)
		version := int64(len(m.streams[stream]))
		w := eventstore.Write{Stream: stream, Expected: rapid.SampledFrom([]eventstore.Expected{
			eventstore.Any, eventstore.Any, eventstore.Exists, eventstore.NoStream,
			eventstore.Exactly(version), eventstore.Exactly(version), eventstore.Exactly(version + 1), eventstore.Exactly(max(0, version-1)),
		}).Draw(t, "expected")}
		first := rapid.IntRange(0, 40).Draw(t, "first id")
		for i := range rapid.IntRange(1, 3).Draw(t, "events") {
			id := fmt.Sprintf("%s %d", m.run, first+i)
			if !used[id] {
				used[id] = true
				w.Events = append(w.Events, eventstoretest.Event(id))
			}
		}
		if len(w.Events) > 0 {
			writes = append(writes, w)
		}
	}
	return writes
}

// judge says what an append should do: be stored, be a repetition, or which error is the answer.
func (m *machine) judge(writes []eventstore.Write) (repeated, duplicate, conflict bool) {
	there, fits := 0, true
	events := 0
	for _, w := range writes {
		first, ok := m.places[w.Events[0].ID()]
		fits = fits && ok
		for i, e := range w.Events {
			events++
			p, ok := m.places[e.ID()]
			if ok {
				there++
			}
			fits = fits && ok && p == place{w.Stream, first.version + i}
		}
		actual := int64(len(m.streams[w.Stream]))
		allowed := w.Expected == eventstore.Any || int64(w.Expected) == actual || (w.Expected == eventstore.Exists && actual > 0)
		conflict = conflict || !allowed
	}
	if there > 0 {
		return fits && there == events, !fits || there != events, false
	}
	return false, false, conflict
}

func (m *machine) check(t *rapid.T, writes []eventstore.Write, appended []eventstore.Appended, err error) (stored bool) {
	repeated, duplicate, conflict := m.judge(writes)
	_, isDuplicate := errors.AsType[*eventstore.DuplicateError](err)
	_, isConflict := errors.AsType[*eventstore.ConflictError](err)
	switch {
	case isDuplicate != duplicate, isConflict != conflict, err != nil && !duplicate && !conflict:
		t.Fatalf("Append() = %v, want a duplicate: %t, a conflict: %t", err, duplicate, conflict)
	case err != nil:
		return false
	}
	for i, a := range appended {
		if a.Repeated != repeated {
			t.Fatalf("Append() = %+v, want it repeated: %t", a, repeated)
		}
		last := writes[i].Events[len(writes[i].Events)-1].ID()
		if want := int64(m.places[last].version); repeated && a.Version != want {
			t.Fatalf("Append() = %+v, want version %d", a, want)
		}
	}
	return !repeated
}

func (m *machine) remember(writes []eventstore.Write) {
	for _, w := range writes {
		for _, e := range w.Events {
			m.streams[w.Stream] = append(m.streams[w.Stream], e.ID())
			m.all = append(m.all, e.ID())
			m.places[e.ID()] = place{w.Stream, len(m.streams[w.Stream])}
		}
	}
}

// Append appends by itself.
func (m *machine) Append(t *rapid.T) {
	writes := m.writes(t)
	appended, err := m.store.Append(t.Context(), writes...)
	if m.check(t, writes, appended, err) {
		m.remember(writes)
	}
}

// Transact appends a few times in a transaction, which is rolled back now and then.
func (m *machine) Transact(t *rapid.T) {
	undo := errors.New("undone")
	before := m.copy()
	err := m.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for range rapid.IntRange(1, 3).Draw(t, "appends") {
			writes := m.writes(t)
			appended, err := m.store.In(tx).Append(ctx, writes...)
			if m.check(t, writes, appended, err) {
				m.remember(writes)
			}
		}
		if rapid.Bool().Draw(t, "undo") {
			return undo
		}
		return nil
	})
	if errors.Is(err, undo) {
		*m = before
	} else if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) copy() machine {
	c := *m
	c.streams, c.places = map[string][]string{}, map[string]place{}
	for stream, ids := range m.streams {
		c.streams[stream] = slices.Clip(ids)
	}
	maps.Copy(c.places, m.places)
	c.all = slices.Clip(m.all)
	return c
}

// Follow reads on where it was.
func (m *machine) Follow(t *rapid.T) {
	page, err := m.store.ReadAll(t.Context(), m.after, rapid.IntRange(1, 5).Draw(t, "limit"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page {
		m.after = r.Position
		m.seen = append(m.seen, r.Event.ID())
	}
	if len(page) == 0 && len(m.seen) != len(m.all) {
		t.Fatalf("after %d events nothing comes, there are %d", len(m.seen), len(m.all))
	}
	for i, id := range m.seen {
		if i >= len(m.all) || m.all[i] != id {
			t.Fatalf("event %d of all is %q, want those of %q", i, id, m.all)
		}
	}
}

// Stream reads a stream.
func (m *machine) Stream(t *rapid.T) {
	stream := fmt.Sprintf("%s-%d", m.run, rapid.IntRange(0, 3).Draw(t, "stream"))
	after := rapid.IntRange(0, len(m.streams[stream])).Draw(t, "after")
	recorded, err := m.store.ReadStream(t.Context(), stream, int64(after), eventstore.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	want := m.streams[stream][after:]
	if len(recorded) != len(want) {
		t.Fatalf("%d events, want %d", len(recorded), len(want))
	}
	for i, r := range recorded {
		if r.Event.ID() != want[i] || r.Version != int64(after+i)+1 {
			t.Fatalf("version %d is %q, want version %d to be %q", r.Version, r.Event.ID(), after+i+1, want[i])
		}
	}
}

// Each store does what the model does, in whichever order things happen.
func TestStoresFollowTheModel(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, kind eventstoretest.Kind) {
		store := kind.New(t)
		rapid.Check(t, func(t *rapid.T) {
			after, err := store.Horizon(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m := &machine{store: store, run: uuid.NewString(), streams: map[string][]string{}, places: map[string]place{}, after: after}
			t.Repeat(map[string]func(*rapid.T){"Append": m.Append, "Transact": m.Transact, "Follow": m.Follow, "Stream": m.Stream})
		})
	})
}

// canonical has all attributes as text.
func canonical(t *rapid.T, e event.Event) event.Event {
	message, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	c, err := kafkabinding.Decode(message)
	if err != nil {
		t.Fatal(err)
	}
	c.DataBase64 = e.DataBase64
	return c
}

// Whatever event is valid comes back as it was.
func TestEventsComeBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, kind eventstoretest.Kind) {
		store := kind.New(t)
		rapid.Check(t, func(t *rapid.T) {
			e := cloudeventstest.Events().Draw(t, "event")
			stream := uuid.NewString()
			e.SetSource("/" + stream) // another identity
			if _, err := store.Append(t.Context(), eventstore.Write{Stream: stream, Events: []event.Event{e}}); err != nil {
				t.Fatal(err)
			}
			recorded, err := store.ReadStream(t.Context(), stream, 0, 1)
			if err != nil || len(recorded) != 1 {
				t.Fatalf("%d events, %v", len(recorded), err)
			}
			if diff := cloudeventstest.Diff(canonical(t, e), canonical(t, recorded[0].Event)); diff != "" {
				t.Fatal(diff)
			}
		})
	})
}
