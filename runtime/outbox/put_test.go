package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/outbox"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// What is published is what was put, byte by byte.
func TestKeepsEvents(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		var events []event.Event
		for i, data := range [][]byte{nil, {}, []byte(`{ "b" : 1, "a":2 }`), {0, 255, 10}} {
			e := happened("order-1", fmt.Sprint(i))
			e.DataEncoded, e.DataBase64 = data, i == 3
			e.SetSubject("ö \U0001F600")
			e.SetExtension("number", int32(-7))
			e.SetExtension("truth", true)
			e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
			events = append(events, e)
		}
		err := s.db.Transact(t.Context(), func(tx *sql.Tx) error { return s.box.Put(t.Context(), tx, topic, events...) })
		if err != nil {
			t.Fatal(err)
		}
		b := &broker{}
		s.relay(t, b)
		published := b.published[topic+"/order-1"]
		if len(published) != len(events) {
			t.Fatalf("%d events, want %d", len(published), len(events))
		}
		for i, got := range published {
			want := events[i]
			if got.String() != want.String() || !bytes.Equal(got.DataEncoded, want.DataEncoded) ||
				(got.DataEncoded == nil) != (want.DataEncoded == nil) || got.DataBase64 != want.DataBase64 {
				t.Errorf("%v\nwas put, and published was\n%v", want, got)
			}
		}
	})
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	timeless, anonymous, large := happened("k", "timeless"), happened("k", ""), happened("k", "large")
	timeless.SetTime(time.Time{})
	large.DataEncoded = make([]byte, outbox.MaxEvent)
	full := happened("k", "full")
	full.DataEncoded = make([]byte, outbox.MaxEvent-1000) // 17 of them are too much
	const other = "notification-events"
	each(t, &outbox.Options{Topics: []string{topic}}, func(t *testing.T, s stage) {
		for _, tc := range []struct {
			topic, id, reason string
			events            []event.Event
		}{
			{topic: "", reason: "is no name"},
			{topic: "a b", reason: "is no name"},
			{topic: "..", reason: "is no name"},
			{topic: strings.Repeat("x", 250), reason: "is no name"},
			{topic: other, reason: "is not in Options.Topics"},
			{topic: topic, id: "timeless", reason: "has no time", events: []event.Event{timeless}},
			{topic: topic, reason: "id", events: []event.Event{anonymous}},
			{topic: topic, reason: "specversion", events: []event.Event{{}}},
			{topic: topic, id: "large", reason: "an event may have", events: []event.Event{large}},
			{topic: topic, reason: "1001 events", events: make([]event.Event, outbox.MaxEvents+1)},
			{topic: topic, reason: "they may have", events: repeat(full, 18)},
		} {
			events := tc.events
			if events == nil {
				events = []event.Event{happened("k", "1")}
			}
			err := s.db.Transact(t.Context(), func(tx *sql.Tx) error { return s.box.Put(t.Context(), tx, tc.topic, events...) })
			invalid, ok := errors.AsType[*outbox.InvalidError](err)
			if !ok || invalid.ID != tc.id || !strings.Contains(err.Error(), tc.reason) || len(err.Error()) > 500 {
				t.Errorf("topic %.20q, %d events: error %v, want one that says %q", tc.topic, len(events), err, tc.reason)
			}
		}
		if err := s.box.Put(t.Context(), nil, topic); err != nil {
			t.Errorf("no events: %v", err)
		}
		s.wantWaiting(t, 0, 0)
	})
}

func repeat(e event.Event, n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		events[i] = e
	}
	return events
}

func TestTakesTheMost(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		ids := make([]string, outbox.MaxEvents)
		for i := range ids {
			ids[i] = fmt.Sprint(i)
		}
		s.put(t, "", ids...)
		if b := (&broker{}); s.relay(t, b) != outbox.MaxEvents {
			t.Error("not all are published")
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	s := newStage(t, database.SQLite, nil)
	for want, o := range map[string]outbox.Options{
		"Lease is 1ms, must be 100ms at least": {Lease: time.Millisecond},
		"is no name of a topic":                {Topics: []string{topic, "a b"}},
	} {
		if _, err := outbox.New(t.Context(), s.db, &o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// The statement is for any client: here pgx without database/sql.
func TestStatementForPgx(t *testing.T) {
	t.Parallel()
	s := newStage(t, database.Postgres, nil)
	conn, err := pgx.Connect(t.Context(), s.place)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	statement, err := s.box.Statement(topic, happened("order-1", "1"), happened("order-1", "2"), happened("order-2", "3"))
	if err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), statement.SQL, statement.Args...)
		return err
	})
	b := &broker{}
	if err != nil || s.relay(t, b) != 3 || b.ids("order-1") != "1 2" {
		t.Errorf("published %s, %v", b.ids("order-1"), err)
	}
}

// Who puts an event of a key that another transaction has put one of waits for its end; other keys do not.
func TestKeysAreLocked(t *testing.T) {
	t.Parallel()
	for name, second := range map[string][]event.Event{
		"one":  {happened("order-1", "2")},
		"many": {happened("order-0", "0"), happened("order-1", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, database.Postgres, nil)
			waited := make(chan error, 1)
			err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
				if err := s.box.Put(t.Context(), tx, topic, happened("order-1", "1")); err != nil {
					return err
				}
				go func() {
					waited <- s.db.Transact(t.Context(), func(tx *sql.Tx) error { return s.box.Put(t.Context(), tx, topic, second...) })
				}()
				const waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory')"
				runtimetest.Eventually(t, "the other transaction waits", func() (yes bool) {
					return tx.QueryRowContext(t.Context(), waits).Scan(&yes) == nil && yes
				})
				s.put(t, "order-3", "3")
				return nil
			})
			if err := errors.Join(err, <-waited); err != nil {
				t.Fatal(err)
			}
			b := &broker{}
			if s.relay(t, b); b.ids("order-1") != "1 2" {
				t.Errorf("published %s", b.ids("order-1"))
			}
		})
	}
}

// Writers that put events of the same keys in another order do not wait for each other for ever.
func TestKeysAreLockedInOrder(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var writing sync.WaitGroup
		const writers, each = 8, 20
		for w := range writers {
			writing.Go(func() {
				for n := range each {
					var events []event.Event
					for k := range 6 {
						key := fmt.Sprintf("order-%d", (k*(1+w%5)+w)%6)
						events = append(events, happened(key, fmt.Sprintf("%d-%d-%d", w, n, k)))
					}
					tx, err := s.db.Write().BeginTx(ctx, nil) // without another try
					if err == nil {
						err = errors.Join(s.box.Put(ctx, tx, topic, events...), tx.Commit())
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writing.Wait()
		s.wantWaiting(t, writers*each*6, 0)
	})
}

func TestChore(t *testing.T) {
	t.Parallel()
	each(t, &outbox.Options{Topics: []string{topic}}, func(t *testing.T, s stage) {
		chore, err := s.box.Chore().Complete()
		if err != nil || chore.Name != "outbox" || chore.Every > 100*time.Millisecond || len(chore.Topics) != 1 {
			t.Fatalf("%+v, %v", chore, err)
		}
		s.put(t, "order-1", "1")
		s.box.Wake()
		s.box.Wake() // does not wait
		select {
		case <-chore.Wake:
		default:
			t.Error("is not woken")
		}
		runtimetest.Eventually(t, "the clock of the database goes on", func() bool { return s.wantWaiting(t, 1, 0).Oldest > 0 })
		b := &broker{}
		for want := range 2 {
			values, err := chore.Measure(t.Context())
			if err != nil || values["waiting"] != float64(1-want) || (values["oldest_seconds"] > 0) != (want == 0) || values["stuck"] != 0 {
				t.Errorf("%v, %v", values, err)
			}
			if err := chore.Run(t.Context(), b.publish); err != nil || b.ids("order-1") != "1" {
				t.Errorf("published %s, %v", b.ids("order-1"), err)
			}
		}
	})
}
