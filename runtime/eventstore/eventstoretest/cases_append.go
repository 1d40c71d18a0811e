package eventstoretest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/eventstore"
)

func expects(t *testing.T, s stage) {
	const two = 2
	for i, tc := range []struct {
		expected  eventstore.Expected
		none, yes bool // whether a stream without events, and one with two, is appended to
	}{
		{eventstore.NoStream, true, false},
		{eventstore.Any, true, true},
		{eventstore.Exists, false, true},
		{eventstore.Exactly(0), true, false},
		{eventstore.Exactly(1), false, false},
		{eventstore.Exactly(two), false, true},
		{eventstore.Exactly(3), false, false},
	} {
		for there, want := range map[bool]bool{false: tc.none, true: tc.yes} {
			stream, before := fmt.Sprintf("s-%d-%t", i, there), int64(0)
			if there {
				s.append(t, Write(stream, eventstore.NoStream, stream+"-1", stream+"-2"))
				before = two
			}
			appended, err := s.store.Append(t.Context(), Write(stream, tc.expected, stream+"-3"))
			switch {
			case !want:
				wantConflict(t, err, stream, tc.expected, before)
			case err != nil || appended[0].Stream != stream || appended[0].Version != before+1:
				t.Errorf("%s expected of %d: %+v, %v", tc.expected, before, appended, err)
			}
		}
	}
}

func tellsConflicts(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1"))
	_, err := s.store.Append(t.Context(), Write("s", eventstore.Exactly(7), "2"))
	wantConflict(t, err, "s", eventstore.Exactly(7), 1)
	const want = "stream s has version 1, its writer expects version 7"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	s.want(t, "s", "1")
}

func appendsToSeveral(t *testing.T, s stage) {
	s.append(t, Write("b", eventstore.NoStream, "1"))
	appended := s.append(t, Write("c", eventstore.NoStream, "2"), Write("b", eventstore.Exactly(1), "3", "4"), Write("a", eventstore.Any, "5"))
	for i, want := range []eventstore.Appended{{Stream: "c", Version: 1}, {Stream: "b", Version: 3}, {Stream: "a", Version: 1}} {
		want.Position = appended[i].Position
		if appended[i] != want {
			t.Errorf("appended %+v, want %+v", appended[i], want)
		}
	}
	// The order of the arguments is that of all events.
	if got := ids(s.all(t, 0)); !slices.Equal(got, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("all are %q", got)
	}
	_, err := s.store.Append(t.Context(), Write("new", eventstore.NoStream, "6"), Write("b", eventstore.Exactly(1), "7"))
	wantConflict(t, err, "b", eventstore.Exactly(1), 3)
	s.want(t, "new")
	_, err = s.store.Append(t.Context(), Write("new", eventstore.NoStream, "8"), Write("other", eventstore.Exists, "9"))
	wantConflict(t, err, "other", eventstore.Exists, 0)
	s.append(t, Write("other", eventstore.NoStream, "9")) // an attempt leaves no stream behind
	s.want(t, "new")
}

func repeats(t *testing.T, s stage) {
	writes := []eventstore.Write{Write("s", eventstore.NoStream, "1", "2"), Write("t", eventstore.NoStream, "3")}
	first := s.append(t, writes...)
	s.append(t, Write("s", eventstore.Exactly(2), "4"))
	for _, expected := range []eventstore.Expected{eventstore.NoStream, eventstore.Any, eventstore.Exists, eventstore.Exactly(2), eventstore.Exactly(9)} {
		writes[0].Expected = expected
		// Another attempt, at another time, in another trace.
		writes[0].Events[1].SetTime(time.Now())
		writes[0].Events[1].SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		again := s.append(t, writes...)
		for i, a := range again {
			if want := first[i]; !a.Repeated || a.Stream != want.Stream || a.Version != want.Version || a.Position != want.Position {
				t.Errorf("%s: repeated %+v, want %+v", expected, a, want)
			}
		}
	}
	s.want(t, "s", "1", "2", "4")
	s.want(t, "t", "3")
	// A part of it is a repetition, too.
	if a := s.append(t, Write("s", eventstore.Any, "2", "4"))[0]; !a.Repeated || a.Version != 3 {
		t.Errorf("a part: %+v", a)
	}
	// The source is a part of the identity.
	other := Write("s", eventstore.Exactly(3), "1")
	other.Events[0].SetSource("/elsewhere")
	if a := s.append(t, other)[0]; a.Repeated || a.Version != 4 {
		t.Errorf("another source: %+v", a)
	}
}

func refusesOthers(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1", "2", "3"))
	changed := func(change func(*event.Event)) eventstore.Write {
		w := Write("s", eventstore.Any, "1")
		change(&w.Events[0])
		return w
	}
	for name, tc := range map[string]struct {
		write eventstore.Write
		want  string
	}{
		"data":       {changed(func(e *event.Event) { e.DataEncoded = []byte(`{}`) }), "content"},
		"no data":    {changed(func(e *event.Event) { e.DataEncoded = nil }), "content"},
		"type":       {changed(func(e *event.Event) { e.SetType("other") }), "content"},
		"attribute":  {changed(func(e *event.Event) { e.SetExtension("causationid", "other") }), "content"},
		"more":       {changed(func(e *event.Event) { e.SetExtension("more", "x") }), "content"},
		"stream":     {Write("t", eventstore.Any, "1"), "another stream"},
		"order":      {Write("s", eventstore.Any, "2", "1"), "another order"},
		"gap":        {Write("s", eventstore.Any, "1", "3"), "another order"},
		"new after":  {Write("s", eventstore.Any, "3", "4"), `event "4", which is to be appended with it, is not stored`},
		"new before": {Write("s", eventstore.Any, "4", "1"), `event "4", which is to be appended with it, is not stored`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.store.Append(t.Context(), tc.write)
			wantDuplicate(t, err, tc.want)
			s.want(t, "s", "1", "2", "3")
			s.want(t, "t")
		})
	}
	_, err := s.store.Append(t.Context(), Write("t", eventstore.NoStream, "5"), Write("s", eventstore.Any, "3"))
	wantDuplicate(t, err, `event "5"`)
	s.want(t, "t")

	empty := Write("e", eventstore.NoStream, "empty")
	empty.Events[0].DataEncoded = []byte{}
	s.append(t, empty)
	empty.Events[0].DataEncoded = nil
	_, err = s.store.Append(t.Context(), empty)
	wantDuplicate(t, err, "content")
}

// numbersVersions appends from two stores, as two processes do.
func numbersVersions(t *testing.T, s stage) {
	const writers = 1000
	stores := []*eventstore.Store{s.store, s.kind.Opened(t, s.place, nil)}
	if s.kind.OneWriter {
		stores = stores[:1] // two processes work, but wait for each other by turns of up to 100 ms
	}
	versions := make([]int64, writers)
	var appending sync.WaitGroup
	for i := range writers {
		appending.Go(func() {
			appended, err := stores[i%len(stores)].Append(t.Context(), Write("s", eventstore.Any, strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
				return
			}
			versions[i] = appended[0].Version
		})
	}
	appending.Wait()
	recorded := s.all(t, 0)
	if len(recorded) != writers {
		t.Fatalf("%d events, want %d", len(recorded), writers)
	}
	for i, r := range recorded {
		n, err := strconv.Atoi(r.Event.ID())
		must(t, err)
		if r.Version != int64(i)+1 || versions[n] != r.Version {
			t.Errorf("event %d has version %d, its writer was told %d, and is number %d of all", n, r.Version, versions[n], i+1)
		}
	}
}

func oneWins(t *testing.T, s stage) {
	const rounds, writers = 20, 10
	for round := range int64(rounds) {
		var won atomic.Int64
		var appending sync.WaitGroup
		for i := range writers {
			appending.Go(func() {
				_, err := s.store.Append(t.Context(), Write("s", eventstore.Exactly(round), fmt.Sprintf("%d-%d", round, i)))
				conflict, lost := errors.AsType[*eventstore.ConflictError](err)
				switch {
				case err == nil:
					won.Add(1)
				case !lost, conflict.Actual != round+1:
					t.Error(err)
				}
			})
		}
		appending.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d won", round, won.Load())
		}
	}
}

func crossesStreams(t *testing.T, s stage) {
	const writers, rounds = 4, 25
	var appending sync.WaitGroup
	for i := range writers {
		appending.Go(func() {
			for round := range rounds {
				id := fmt.Sprintf("%d-%d", i, round)
				a, b := Write("a", eventstore.Any, "a"+id), Write("b", eventstore.Any, "b"+id)
				if i%2 == 0 {
					a, b = b, a
				}
				if _, err := s.store.Append(t.Context(), a, b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	appending.Wait()
	if all := s.all(t, 0); len(all) != 2*writers*rounds {
		t.Errorf("%d events, want %d", len(all), 2*writers*rounds)
	}
}

func racesForIdentity(t *testing.T, s stage) {
	const rounds = 3 // a deadlock takes PostgreSQL a second
	for round := range rounds {
		var appending sync.WaitGroup
		var won atomic.Int64
		for i := range 8 {
			appending.Go(func() {
				// Each pair of ids in another order, so that transactions meet in the middle.
				pair := []string{fmt.Sprintf("x%d", round), fmt.Sprintf("y%d", round)}
				if i%2 == 0 {
					slices.Reverse(pair)
				}
				_, err := s.store.Append(t.Context(), Write(fmt.Sprintf("s-%d-%d", round, i), eventstore.NoStream, pair...))
				if err == nil {
					won.Add(1)
					return
				}
				wantDuplicate(t, err, "another stream")
			})
		}
		appending.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d appended the same event", round, won.Load())
		}
	}
	if all := s.all(t, 0); len(all) != 2*rounds {
		t.Errorf("%d events, want %d", len(all), 2*rounds)
	}
}
