package eventstoretest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/eventstore"
)

// stage is what a case works with.
type stage struct {
	kind  Kind
	place string
	store *eventstore.Store
}

// cases are what a store must do, by name.
var cases = map[string]func(*testing.T, stage){
	"an event is kept as it is":                        keepsEvents,
	"the least and the most that is taken":             takesLimits,
	"what is too much is refused":                      refusesTooMuch,
	"a stream is read in parts":                        readsInParts,
	"metadata is kept beside the events":               keepsMetadata,
	"what was stored is there after a restart":         survivesRestart,
	"the expected version decides":                     expects,
	"a conflict tells the version":                     tellsConflicts,
	"several streams, all or none":                     appendsToSeveral,
	"a repeated append changes nothing":                repeats,
	"a repeated event with other content is an error":  refusesOthers,
	"a thousand writers, each version once":            numbersVersions,
	"of those who expect the same version one wins":    oneWins,
	"writers to several streams do not block for ever": crossesStreams,
	"the same event in two streams at once":            racesForIdentity,
	"a late commit is not skipped":                     waitsForLateCommits,
	"the order of a stream is that of all":             keepsStreamOrder,
	"readers miss nothing while many write":            missesNothing,
	"a rolled back append holds nobody up":             goesOnAfterRollback,
	"an append in the caller's transaction":            sharesTransaction,
	"a refused append leaves the transaction usable":   leavesTransaction,
	"a transaction within itself is refused":           refusesNesting,
	"a transaction ends with a panic":                  rollsBackPanics,
	"snapshots":                                        keepsSnapshots,
	"snapshots of what was never stored":               refusesSnapshots,
	"old events are read as new ones":                  upcasts,
	"an upcaster that fails stops the reader":          tellsUpcasters,
	"an event that is damaged stops the reader":        tellsDamage,
}

// Run runs each case on an empty store of a kind.
func Run(t *testing.T, kind Kind) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := kind.Place(t)
			test(t, stage{kind: kind, place: place, store: kind.Opened(t, place, nil)})
		})
	}
}

// must ends the test when err is one.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// append appends, which must succeed.
func (s stage) append(t *testing.T, writes ...eventstore.Write) []eventstore.Appended {
	t.Helper()
	appended, err := s.store.Append(t.Context(), writes...)
	must(t, err)
	return appended
}

// want checks which events a stream holds, by their ids, and that versions and positions rise.
func (s stage) want(t *testing.T, stream string, ids ...string) {
	t.Helper()
	recorded, err := s.store.ReadStream(t.Context(), stream, 0, eventstore.MaxRead)
	must(t, err)
	var got []string
	position := int64(0)
	for i, r := range recorded {
		got = append(got, r.Event.ID())
		if r.Stream != stream || r.Version != int64(i)+1 || r.Position <= position || r.RecordedAt.IsZero() {
			t.Errorf("event %d of %s is %s %d at %d, recorded at %s, after position %d", i, stream, r.Stream, r.Version, r.Position, r.RecordedAt, position)
		}
		position = r.Position
	}
	if !slices.Equal(got, ids) {
		t.Errorf("%s holds %q, want %q", stream, got, ids)
	}
}

// all reads everything after a position, page by page.
func (s stage) all(t *testing.T, after int64) []eventstore.Recorded {
	t.Helper()
	var all []eventstore.Recorded
	for {
		page, err := s.store.ReadAll(t.Context(), after, 7)
		must(t, err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1].Position
	}
}

func ids(recorded []eventstore.Recorded) []string {
	list := make([]string, len(recorded))
	for i, r := range recorded {
		list[i] = r.Event.ID()
	}
	return list
}

// wantConflict checks that err is a conflict with a stream of a version.
func wantConflict(t *testing.T, err error, stream string, expected eventstore.Expected, actual int64) {
	t.Helper()
	conflict, ok := errors.AsType[*eventstore.ConflictError](err)
	if !ok || conflict.Stream != stream || conflict.Expected != expected || conflict.Actual != actual {
		t.Errorf("error %v, want a conflict with %s of version %d where %s is expected", err, stream, actual, expected)
	}
}

// wantInvalid checks that err is about the arguments and says what.
func wantInvalid(t *testing.T, err error, what string) {
	t.Helper()
	if _, ok := errors.AsType[*eventstore.InvalidError](err); !ok || !strings.Contains(err.Error(), what) {
		t.Errorf("error %v, want an invalid argument that says %q", err, what)
	}
}

// wantDuplicate checks that err is about a stored event and says what.
func wantDuplicate(t *testing.T, err error, what string) {
	t.Helper()
	if _, ok := errors.AsType[*eventstore.DuplicateError](err); !ok || !strings.Contains(err.Error(), what) {
		t.Errorf("error %v, want a duplicate that says %q", err, what)
	}
}

// wantText checks that err says what.
func wantText(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what) {
		t.Errorf("error %v, want one that says %q", err, what)
	}
}
