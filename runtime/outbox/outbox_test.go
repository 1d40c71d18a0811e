package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

const topic = "order-events"

var server postgres.Shared

func TestMain(m *testing.M) {
	if order := os.Getenv(relayProcess); order != "" {
		runRelay(order)
		return
	}
	goleak.VerifyTestMain(server.Tests(m),
		// The metrics library below sarama keeps one goroutine for the life of the process.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// sarama's circuit breaker sleeps for 10 s after three failures, whether it is still needed or not.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"),
	)
}

// stage is an outbox in an empty database.
type stage struct {
	kind  database.Kind
	place string
	db    *database.DB
	box   *outbox.Outbox
}

// each runs a test on each kind of database.
func each(t *testing.T, o *outbox.Options, test func(*testing.T, stage)) {
	t.Helper()
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, newStage(t, kind, o))
		})
	}
}

func newStage(t testing.TB, kind database.Kind, o *outbox.Options) stage {
	t.Helper()
	place := filepath.Join(t.TempDir(), "x.db")
	if kind == database.Postgres {
		place = server.Database(t)
	}
	s := stage{kind: kind, place: place}
	s.db, s.box = s.open(t, o)
	return s
}

// open opens the stage's database once more, as another process does.
func (s stage) open(t testing.TB, o *outbox.Options) (*database.DB, *outbox.Outbox) {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Kind: string(s.kind), URL: config.NewSecret(s.place), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	quiet := outbox.Options{}
	if o != nil {
		quiet = *o
	}
	if quiet.Log == nil {
		quiet.Log = slog.New(slog.DiscardHandler)
	}
	box, err := outbox.New(t.Context(), db, &quiet)
	if err != nil {
		t.Fatal(err)
	}
	return db, box
}

// happened returns an event with a key.
func happened(key, id string) event.Event {
	e := event.New(event.CloudEventsVersionV1)
	e.SetID(id)
	e.SetSource("/order-service")
	e.SetType("dev.millrace.test.happened.v1")
	e.SetTime(time.Date(2026, 11, 23, 1, 2, 3, 4, time.UTC))
	if key != "" {
		e.SetExtension("partitionkey", key)
	}
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"id":` + strconv.Quote(id) + `}`)
	return e
}

// put commits events of a key, by their ids.
func (s stage) put(t testing.TB, key string, ids ...string) {
	t.Helper()
	var events []event.Event
	for _, id := range ids {
		events = append(events, happened(key, id))
	}
	err := s.db.Transact(t.Context(), func(tx *sql.Tx) error { return s.box.Put(t.Context(), tx, topic, events...) })
	if err != nil {
		t.Fatal(err)
	}
}

// broker keeps what is published. Its faults may be changed while nothing is.
type broker struct {
	// fault decides about an event, or nil.
	fault func(topic string, e event.Event) error

	mu        sync.Mutex
	published map[string][]event.Event // by topic and key
	calls     int
}

func (b *broker) publish(_ context.Context, topic string, events ...event.Event) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.published == nil {
		b.published = map[string][]event.Event{}
	}
	errs := make([]error, len(events))
	for i, e := range events {
		if b.fault != nil {
			errs[i] = b.fault(topic, e)
		}
		if errs[i] == nil {
			key, _ := e.Extensions()["partitionkey"].(string)
			b.published[topic+"/"+key] = append(b.published[topic+"/"+key], e)
		}
	}
	return errs
}

// ids returns the ids of what was published of a key.
func (b *broker) ids(key string) string { return b.of(topic, key) }

// of returns the ids of what was published of a topic and key.
func (b *broker) of(topic, key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for _, e := range b.published[topic+"/"+key] {
		ids = append(ids, e.ID())
	}
	return strings.Join(ids, " ")
}

// relay publishes all that is due, in as many runs as it takes, and returns how much that was.
func (s stage) relay(t testing.TB, b *broker) int {
	t.Helper()
	return s.relayTo(t, b.publish)
}

func (s stage) relayTo(t testing.TB, publish function.Publish) int {
	t.Helper()
	for all := 0; ; {
		published, err := s.box.Relay(t.Context(), publish)
		if err != nil {
			t.Fatal(err)
		}
		if published == 0 {
			return all
		}
		all += published
	}
}

// wantWaiting checks how many events wait, and how many keys are stuck.
func (s stage) wantWaiting(t testing.TB, waiting, stuck int64) outbox.Stats {
	t.Helper()
	stats, err := s.box.Stats(t.Context())
	if err != nil || stats.Waiting != waiting || stats.StuckKeys != stuck {
		t.Errorf("%+v, %v, want %d events that wait and %d keys that are stuck", stats, err, waiting, stuck)
	}
	return stats
}

func TestPublishesWhatIsCommitted(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		b := &broker{}
		s.put(t, "order-1", "1", "2")
		err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
			if err := s.box.Put(t.Context(), tx, topic, happened("order-1", "taken back")); err != nil {
				return err
			}
			return fmt.Errorf("undone on purpose")
		})
		if err == nil {
			t.Error("no error")
		}
		s.put(t, "order-2", "3")
		s.put(t, "order-1", "4")
		if stats := s.wantWaiting(t, 4, 0); stats.Oldest <= 0 || stats.Oldest > time.Hour {
			t.Errorf("the oldest is of age %s", stats.Oldest)
		}
		if n := s.relay(t, b); n != 4 || b.ids("order-1") != "1 2 4" || b.ids("order-2") != "3" {
			t.Errorf("published %d: %s and %s", n, b.ids("order-1"), b.ids("order-2"))
		}
		if stats := s.wantWaiting(t, 0, 0); stats.Oldest != 0 {
			t.Errorf("the oldest is of age %s", stats.Oldest)
		}
		if n := s.relay(t, b); n != 0 {
			t.Errorf("published %d more", n)
		}
	})
}
