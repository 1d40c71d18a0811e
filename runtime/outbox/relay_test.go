package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
	"github.com/millrace/millrace/runtime/runtimetest"
)

var (
	errTooLarge = function.Permanent(errors.New("too large"))
	errDown     = function.Unavailable("kafka", errors.New("no route"))
)

// An event is handed over when the one before it with its key is acknowledged, and those of other keys go along.
func TestHandsOverOneOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		const keys, events = 300, 4
		for n := range events {
			err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
				var all []event.Event
				for k := range keys {
					all = append(all, happened(fmt.Sprintf("order-%d", k), fmt.Sprint(n)))
				}
				return s.box.Put(t.Context(), tx, topic, all...)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		b := &broker{}
		calls := 0
		published := s.relayTo(t, func(ctx context.Context, topic string, events ...event.Event) []error {
			calls++
			seen := map[any]bool{}
			for _, e := range events {
				if key := e.Extensions()["partitionkey"]; seen[key] {
					t.Errorf("two events of %v at once", key)
				} else {
					seen[key] = true
				}
			}
			return b.publish(ctx, topic, events...)
		})
		if published != keys*events || calls > 2*events {
			t.Errorf("published %d in %d calls", published, calls)
		}
		for k := range keys {
			if ids := b.ids(fmt.Sprintf("order-%d", k)); ids != "0 1 2 3" {
				t.Errorf("order-%d: %s", k, ids)
			}
		}
	})
}

// Events without a key wait for nobody.
func TestEventsWithoutAKey(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		b := &broker{fault: func(_ string, e event.Event) error {
			if e.ID() == "1" {
				return errTooLarge
			}
			return nil
		}}
		s.put(t, "", "1", "2", "3")
		if s.relay(t, b) != 2 {
			t.Errorf("published %s", b.ids(""))
		}
		s.wantWaiting(t, 1, 1)
	})
}

// An event that cannot be published stops its key, in its topic, and nothing else; it is told of, and goes on once it can.
func TestAnEventThatCannotBePublished(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errTooLarge, errors.New("the topic does not exist\x00\xff")} {
		each(t, nil, func(t *testing.T, s stage) {
			broken := true
			b := &broker{fault: func(topic string, e event.Event) error {
				if broken && topic == "order-events" && e.ID() == "2" {
					return failure
				}
				return nil
			}}
			s.put(t, "order-1", "1", "2", "3")
			s.put(t, "order-2", "4")
			err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
				return s.box.Put(t.Context(), tx, "audit-events", happened("order-1", "2"))
			})
			if err != nil {
				t.Fatal(err)
			}
			if s.relay(t, b); b.ids("order-1") != "1" || b.ids("order-2") != "4" || len(b.published["audit-events/order-1"]) != 1 {
				t.Errorf("published %v", b.published)
			}
			if s.relay(t, b); b.ids("order-1") != "1" {
				t.Errorf("published %s", b.ids("order-1"))
			}
			stuck := s.wantWaiting(t, 2, 1).Stuck
			if len(stuck) != 1 || stuck[0].Key != "order-1" || stuck[0].ID != "2" || stuck[0].Topic != topic ||
				stuck[0].Attempts < 1 || stuck[0].Position == 0 || !strings.HasPrefix(failure.Error(), stuck[0].Error) {
				t.Errorf("stuck: %+v", stuck)
			}
			s.put(t, "order-1", "5")
			broken = false
			runtimetest.Eventually(t, "what is mended is published", func() bool { return s.relay(t, b) > 0 })
			if b.ids("order-1") != "1 2 3 5" {
				t.Errorf("published %s", b.ids("order-1"))
			}
			s.wantWaiting(t, 0, 0)
		})
	}
}

func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStage(t, "sqlite", &outbox.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	b := &broker{fault: func(string, event.Event) error { return errTooLarge }}
	s.put(t, "order-1", "1")
	s.put(t, "order-2", "2")
	s.relay(t, b)
	for _, want := range []string{`"topic":"order-events"`, `"attempts":`, `"others":1`, `"error":"too large"`, `"event":"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log says %s, want %s", &log, want)
		}
	}
	if strings.Contains(log.String(), `{"id"`) {
		t.Errorf("the log says %s", &log)
	}
}

// While the broker is away no event is to blame, and what was acknowledged is not published again.
func TestABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		for _, failure := range []error{errDown, context.Canceled, context.DeadlineExceeded} {
			down := true
			b := &broker{fault: func(_ string, e event.Event) error {
				if down && e.ID() != "0" {
					return failure
				}
				return nil
			}}
			s.put(t, "order-1", "1", "2")
			s.put(t, "order-2", "0")
			published, err := s.box.Relay(t.Context(), b.publish)
			if published != 1 || !errors.Is(err, failure) || b.calls != 1 {
				t.Errorf("published %d, %v, in %d calls", published, err, b.calls)
			}
			s.wantWaiting(t, 2, 0)
			down = false
			if s.relay(t, b) != 2 || b.ids("order-1") != "1 2" || b.ids("order-2") != "0" {
				t.Errorf("published %v", b.published)
			}
		}
	})
}

func TestAPublisherThatTellsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "sqlite", nil)
	s.put(t, "order-1", "1")
	published, err := s.box.Relay(t.Context(), func(context.Context, string, ...event.Event) []error { return []error{} })
	if published != 0 || err == nil || !strings.Contains(err.Error(), "1 events for topic order-events were published with 0 outcomes") {
		t.Errorf("published %d, %v", published, err)
	}
	s.wantWaiting(t, 1, 0)
}

// A row that cannot be decoded stops its key, too.
func TestADamagedRow(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		s.put(t, "order-1", "1", "2")
		s.put(t, "order-2", "3")
		const damage = `UPDATE millrace_outbox SET attributes = '{' WHERE attributes LIKE '%"id":"1"%'`
		if _, err := s.db.Write().ExecContext(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
		b := &broker{}
		if s.relay(t, b) != 1 || b.ids("order-2") != "3" {
			t.Errorf("published %v", b.published)
		}
		if stuck := s.wantWaiting(t, 2, 1).Stuck; len(stuck) != 1 || stuck[0].ID != "" || stuck[0].Error == "" {
			t.Errorf("stuck: %+v", stuck)
		}
	})
}

// A key that waits for long with more events than a page holds keeps nobody up.
func TestAStuckKeyWithManyEvents(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		b := &broker{fault: func(_ string, e event.Event) error {
			if e.Extensions()["partitionkey"] == "stuck" {
				return errTooLarge
			}
			return nil
		}}
		ids := make([]string, 700)
		for i := range ids {
			ids[i] = fmt.Sprint(i)
		}
		s.put(t, "stuck", ids...)
		s.relay(t, b)
		for k := range 30 {
			s.put(t, fmt.Sprintf("order-%d", k), "1")
		}
		if n := s.relay(t, b); n != 30 {
			t.Errorf("published %d, want 30", n)
		}
		s.wantWaiting(t, 700, 1)
	})
}

// A key with many events is published in its order, in several passes.
func TestAKeyWithManyEvents(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		var want []string
		for n := range 3 {
			ids := make([]string, 400)
			for i := range ids {
				ids[i] = fmt.Sprint(n*len(ids) + i)
			}
			s.put(t, "order-1", ids...)
			want = append(want, ids...)
		}
		b := &broker{}
		s.relay(t, b)
		if b.ids("order-1") != strings.Join(want, " ") {
			t.Errorf("published %s", b.ids("order-1"))
		}
		s.wantWaiting(t, 0, 0)
	})
}

// When its context ends the relay hands nothing more over, takes note of what was acknowledged and gives its shards back.
func TestARelayThatHasToLeave(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		s.put(t, "order-1", "1", "2", "3")
		ctx, cancel := context.WithCancel(t.Context())
		b := &broker{}
		published, err := s.box.Relay(ctx, func(_ context.Context, topic string, events ...event.Event) []error {
			defer cancel()
			return b.publish(t.Context(), topic, events...)
		})
		if published != 1 || err != nil {
			t.Errorf("published %d, %v", published, err)
		}
		if s.relay(t, b) != 2 || b.ids("order-1") != "1 2 3" {
			t.Errorf("published %s", b.ids("order-1"))
		}
	})
}

// What the database does not take note of is not published again and again, and the shards are free for the next try, also where
// the broker went away at the same time.
func TestADatabaseThatTakesNoNote(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]bool{"alone": false, "and a broker that is gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "sqlite", nil)
			const events = 6000 // more than a page of each shard
			for n := 0; n < events; {
				ids := make([]string, 1000)
				for i := range ids {
					ids[i] = fmt.Sprint(n)
					n++
				}
				s.put(t, "", ids...)
			}
			execute := func(statement string) {
				if _, err := s.db.Write().ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			execute("CREATE TRIGGER broken BEFORE DELETE ON millrace_outbox BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END")
			b := &broker{}
			published, err := s.box.Relay(t.Context(), func(ctx context.Context, topic string, events ...event.Event) []error {
				errs := b.publish(ctx, topic, events...)
				if broken {
					errs[len(errs)-1] = function.Unavailable("Kafka", errors.New("gone"))
				}
				return errs
			})
			if published == 0 || b.calls != 1 || err == nil || !strings.Contains(err.Error(), "broken on purpose") {
				t.Errorf("published %d in %d calls, %v", published, b.calls, err)
			}
			execute("DROP TRIGGER broken")
			if n := s.relay(t, b); n != events {
				t.Errorf("published %d, want %d", n, events)
			}
		})
	}
}

// What is committed while another relay has the shard, which its own relay therefore passes by, is published by that other one.
func TestWhatComesDuringARun(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		_, other := s.open(t, nil)
		b := &broker{}
		s.put(t, "order-1", "1")
		published, err := s.box.Relay(t.Context(), func(ctx context.Context, topic string, events ...event.Event) []error {
			if b.calls == 0 {
				s.put(t, "order-1", "2")
				if n, err := other.Relay(t.Context(), b.publish); n != 0 || err != nil {
					t.Errorf("the other one published %d, %v", n, err)
				}
			}
			return b.publish(ctx, topic, events...)
		})
		if published != 2 || err != nil || b.ids("order-1") != "1 2" {
			t.Errorf("published %d, %v: %s", published, err, b.ids("order-1"))
		}
	})
}

// A relay whose transaction hangs keeps nobody from the other shards.
func TestARelayThatHangsWithAShard(t *testing.T) {
	t.Parallel()
	s := newStage(t, database.Postgres, nil)
	for k := range 40 {
		s.put(t, fmt.Sprintf("order-%d", k), "1")
	}
	tx, err := s.db.Write().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "UPDATE millrace_outbox_shards SET owner = 'hangs' WHERE shard = 0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if n, err := s.box.Relay(ctx, (&broker{}).publish); n < 20 || n >= 40 || err != nil {
		t.Errorf("published %d, %v", n, err)
	}
}

// A count that fails is told of, but not every time that metrics are asked for; a program that ends is not told of.
func TestACountThatFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStage(t, "sqlite", &outbox.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	measure := s.box.Chore().Measure
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := measure(ended); err == nil || log.Len() > 0 {
		t.Errorf("error %v, the log says %s", err, &log)
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for range 3 {
		if _, err := measure(late); err == nil {
			t.Error("no error")
		}
	}
	if n := strings.Count(log.String(), `"level":"WARN"`); n != 1 || !strings.Contains(log.String(), "deadline exceeded") {
		t.Errorf("%d warnings: %s", n, &log)
	}
}

func TestStatsNameAHundred(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
			var all []event.Event
			for i := range 120 {
				all = append(all, happened("", fmt.Sprint(i)))
			}
			return s.box.Put(t.Context(), tx, topic, all...)
		})
		if err != nil {
			t.Fatal(err)
		}
		s.relay(t, &broker{fault: func(string, event.Event) error { return errTooLarge }})
		if stuck := s.wantWaiting(t, 120, 120).Stuck; len(stuck) != 100 {
			t.Errorf("%d are named", len(stuck))
		}
	})
}
