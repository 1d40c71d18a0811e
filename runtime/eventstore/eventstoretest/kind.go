package eventstoretest

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
)

// Kind is a kind of store, and how to come by an empty one.
type Kind struct {
	Name string
	// Place returns where a new, empty database is. It may skip the test.
	Place func(testing.TB) string
	// OneWriter says that a transaction keeps all others from beginning.
	OneWriter bool
}

// SQLite is a store in a file.
func SQLite() Kind {
	return Kind{
		Name:      string(database.SQLite),
		Place:     func(t testing.TB) string { return filepath.Join(t.TempDir(), "a name?#%41.db") },
		OneWriter: true,
	}
}

// Postgres is a store in the databases that place returns the URLs of, as runtimetest/postgres does.
func Postgres(place func(testing.TB) string) Kind {
	return Kind{Name: string(database.Postgres), Place: place}
}

// Database opens the database of a place, which is closed with the test. Several may be open at once, as those of several
// processes are.
func (k Kind) Database(t testing.TB, place string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Kind: k.Name, URL: config.NewSecret(place), Durable: true})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// Opened opens the store of a place, which is closed with the test. o may be nil.
func (k Kind) Opened(t testing.TB, place string, o *eventstore.Options) *eventstore.Store {
	t.Helper()
	store, err := eventstore.New(t.Context(), k.Database(t, place), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return store
}

// New returns an empty store, which is closed with the test.
func (k Kind) New(t testing.TB) *eventstore.Store {
	t.Helper()
	return k.Opened(t, k.Place(t), nil)
}

// Event returns a small event with an id.
func Event(id string) event.Event {
	e := event.New(event.CloudEventsVersionV1)
	e.SetID(id)
	e.SetSource("/order-service")
	e.SetType("dev.millrace.test.happened.v1")
	e.SetSubject("subject of " + id)
	e.SetExtension("correlationid", "flow of "+id)
	e.SetExtension("causationid", "cause of "+id)
	e.SetExtension("partitionkey", "key of "+id)
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"id":` + strconv.Quote(id) + `}`)
	return e
}

// Write returns what appends events with the ids to a stream.
func Write(stream string, expected eventstore.Expected, ids ...string) eventstore.Write {
	w := eventstore.Write{Stream: stream, Expected: expected}
	for _, id := range ids {
		w.Events = append(w.Events, Event(id))
	}
	return w
}
