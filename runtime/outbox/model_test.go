package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/outbox"
)

// The outcomes of an event that the model's broker has.
const (
	taken   = iota
	lost    // taken, but the answer does not come back
	away    // not taken: the broker is away
	refused // not taken: the event is to blame
)

// errKilled is what a relay panics with that is killed.
var errKilled = errors.New("killed")

// model is an outbox of which it is known what was committed.
type model struct {
	stage

	t     *testing.T
	broke broker
	boxes []*outbox.Outbox
	// put counts the events of each topic and key; their ids count from 0.
	put map[string]int
	// run makes the keys of a run of the property its own.
	run int
}

var modelTopics = []string{"order-events", "audit-events"}

// putSome commits some events, or takes them back.
func (m *model) putSome(r *rapid.T) {
	next := map[string]int{}
	undo := rapid.IntRange(0, 4).Draw(r, "undo") == 0
	err := m.db.Transact(m.t.Context(), func(tx *sql.Tx) error {
		for range rapid.IntRange(1, 4).Draw(r, "puts") {
			topic := rapid.SampledFrom(modelTopics).Draw(r, "topic")
			var events []event.Event
			for range rapid.IntRange(1, 4).Draw(r, "events") {
				key := fmt.Sprintf("%d-%d", m.run, rapid.IntRange(0, 2).Draw(r, "key"))
				lane := topic + "/" + key
				events = append(events, happened(key, strconv.Itoa(m.put[lane]+next[lane])))
				next[lane]++
			}
			if err := m.box.Put(m.t.Context(), tx, topic, events...); err != nil {
				return err
			}
		}
		if undo {
			return errKilled
		}
		return nil
	})
	if undo {
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	for lane, n := range next {
		m.put[lane] += n
	}
}

// relaySome relays with a broker that fails now and then, until the relay has done, is told to leave or is killed.
func (m *model) relaySome(r *rapid.T) {
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	leave := rapid.IntRange(0, 12).Draw(r, "leaves in call")
	kill := rapid.IntRange(0, 12).Draw(r, "is killed in call")
	calls := 0
	defer func() {
		if v := recover(); v != nil && v != errKilled { //nolint:errorlint // the very value
			panic(v)
		}
	}()
	_, err := m.boxes[rapid.IntRange(0, 1).Draw(r, "relay")].Relay(ctx, func(_ context.Context, topic string, events ...event.Event) []error {
		calls++
		errs := make([]error, len(events))
		for i, e := range events {
			errs[i] = m.outcome(r, topic, e)
		}
		if calls == leave {
			cancel()
		}
		if calls == kill {
			panic(errKilled)
		}
		return errs
	})
	if _, ok := errors.AsType[*outbox.InvalidError](err); ok {
		r.Fatal(err)
	}
}

func (m *model) outcome(r *rapid.T, topic string, e event.Event) error {
	switch rapid.SampledFrom([]int{taken, taken, taken, taken, lost, away, refused}).Draw(r, "outcome") {
	case taken:
		return m.broke.publish(m.t.Context(), topic, e)[0]
	case lost:
		_ = m.broke.publish(m.t.Context(), topic, e) // the broker has no faults of its own
		return errDown
	case away:
		return errDown
	default:
		return errTooLarge
	}
}

// set changes what only time does.
func (m *model) set(r *rapid.T, statement string) {
	if _, err := m.db.Write().ExecContext(m.t.Context(), statement); err != nil {
		r.Fatal(err)
	}
}

// check looks at the order of all that was published.
func (m *model) check(r *rapid.T) {
	for lane, n := range m.put {
		topic, key, _ := strings.Cut(lane, "/")
		published := strings.Fields(m.broke.of(topic, key))
		seen := 0
		for _, id := range published {
			if number, err := strconv.Atoi(id); err == nil {
				seen = max(seen, number+1)
			}
		}
		if problem := disorder(published, seen); problem != "" || seen > n {
			r.Fatalf("%s: %s, %d of %d", lane, problem, seen, n)
		}
	}
}

// drain has everything published, and nothing may be missing.
func (m *model) drain(r *rapid.T) {
	const free, due = "UPDATE millrace_outbox_shards SET until = 0", "UPDATE millrace_outbox SET due = 0"
	m.set(r, free)
	m.set(r, due)
	m.relay(m.t, &m.broke)
	for lane, n := range m.put {
		topic, key, _ := strings.Cut(lane, "/")
		if problem := disorder(strings.Fields(m.broke.of(topic, key)), n); problem != "" {
			r.Fatalf("%s: %s", lane, problem)
		}
	}
	if stats, err := m.box.Stats(m.t.Context()); err != nil || stats.Waiting != 0 {
		r.Fatalf("%+v, %v", stats, err)
	}
}

// Whatever becomes of relays and of the broker, each committed event is published, and seen for the first time in the order of
// its key.
func TestModel(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		_, other := s.open(t, nil)
		run := 0
		rapid.Check(t, func(r *rapid.T) {
			run++
			m := &model{stage: s, t: t, boxes: []*outbox.Outbox{s.box, other}, put: map[string]int{}, run: run}
			r.Repeat(map[string]func(*rapid.T){
				"put":           m.putSome,
				"relay":         m.relaySome,
				"leases end":    func(r *rapid.T) { m.set(r, "UPDATE millrace_outbox_shards SET until = 0") },
				"failures rest": func(r *rapid.T) { m.set(r, "UPDATE millrace_outbox SET due = 0") },
				"":              m.check,
			})
			m.drain(r)
		})
	})
}
