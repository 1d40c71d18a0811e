package orderprocess_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	orderprocess "github.com/millrace/millrace/functions/order-process"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(server.Tests(m), goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// noon is when the tests begin.
var noon = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.passed.Load())) }
func (c *clock) move(d time.Duration) { c.passed.Add(int64(d)) }

// fataler is a test, or a property that is tested.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// shop is an order service: order-process, and beside it what order-api has, on the same database.
type shop struct {
	api         *orderstore.Store
	process     function.Handler
	environment map[string]string
	clock       *clock
	// topics is what is published, by order.
	topics map[string][]event.Event
	// handled is how much of a topic order-process has handled.
	handled map[string]int
	orders  int
}

// environments give an empty database of each kind.
var environments = map[string]func(*testing.T) map[string]string{
	"sqlite": func(t *testing.T) map[string]string {
		return map[string]string{"DATABASE_URL": filepath.Join(t.TempDir(), "orders.db"), "DATABASE_DURABLE": "false"}
	},
	"postgres": func(t *testing.T) map[string]string {
		return map[string]string{"DATABASE": "postgres", "DATABASE_URL": server.Database(t), "DATABASE_CONNECTIONS": "4"}
	},
}

// each runs a test with an empty shop on each kind of database.
func each(t *testing.T, test func(*testing.T, *shop)) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(environments)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, environments[kind](t)))
		})
	}
}

func lookup(environment map[string]string) function.Lookup {
	return func(key string) (string, bool) {
		value, ok := environment[key]
		return value, ok
	}
}

func open(t *testing.T, environment map[string]string) *shop {
	t.Helper()
	var c database.Config
	if err := config.Load(lookup(environment), &c); err != nil {
		t.Fatal(err)
	}
	api, err := orderstore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	s := &shop{
		api: api, environment: environment, clock: &clock{}, topics: map[string][]event.Event{}, handled: map[string]int{},
	}
	s.process = s.start(t)
	return s
}

// start starts a process that runs order-process.
func (s *shop) start(t *testing.T) function.Handler {
	t.Helper()
	process, err := orderprocess.Open(lookup(s.environment), s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return process
}

// next returns the id of an order that is not yet.
func (s *shop) next() string {
	s.orders++
	return fmt.Sprintf("order-%d", s.orders)
}

// ask sends a request of a person to the order API. It may be against the rules.
func (s *shop) ask(t fataler, id string, command func(order.Order, time.Time) ([]function.Payload, error)) {
	t.Helper()
	cause := orderstore.Cause{CorrelationID: "flow-" + id, CausationID: "request", At: s.clock.now()}
	_, err := s.api.Change(t.Context(), id, cause, func(o order.Order) ([]function.Payload, error) { return command(o, cause.At) }, nil)
	if _, refused := errors.AsType[*order.RuleError](err); err != nil && !refused {
		t.Fatal(err)
	}
}

// tell publishes what another service tells of an order.
func (s *shop) tell(t fataler, told function.Payload) event.Event {
	t.Helper()
	return s.tellAs(t, word(told.EventType())+" "+told.AggregateID(), told)
}

// tellAs publishes it with this id.
func (s *shop) tellAs(t fataler, eventID string, told function.Payload) event.Event {
	t.Helper()
	e, err := function.NewEvent(told)
	if err != nil {
		t.Fatal(err)
	}
	id := told.AggregateID()
	e.SetID(eventID)
	e.SetSource("/another-service")
	e.SetTime(s.clock.now())
	e.SetExtension(function.CorrelationID, "flow-"+id)
	s.topics[id] = append(s.topics[id], e)
	return e
}

// relay publishes what waits in the outbox.
func (s *shop) relay(t fataler) {
	t.Helper()
	for {
		n, err := s.api.Outbox().Relay(t.Context(), func(_ context.Context, topic string, events ...event.Event) []error {
			if topic != fact.Topic {
				return slices.Repeat([]error{errors.New("published to " + topic)}, len(events))
			}
			for _, e := range events {
				s.topics[e.Subject()] = append(s.topics[e.Subject()], e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// deliver hands an event to order-process, and returns why it was dropped, if it was.
func (s *shop) deliver(t fataler, e event.Event) (dropped string) {
	t.Helper()
	out, err := s.process.Handle(t.Context(), e)
	if errors.Is(err, function.ErrPassedBy) {
		why, _ := strings.CutSuffix(err.Error(), function.ErrPassedBy.Error())
		return strings.TrimSuffix(why, ": ")
	}
	if drop, ok := errors.AsType[*function.DropError](err); ok {
		return drop.Reason
	}
	if err != nil || len(out) > 0 {
		t.Fatalf("%s: %d events, %v", e.ID(), len(out), err)
	}
	return ""
}

// expire runs the chore that ends orders that wait too long.
func (s *shop) expire(t fataler) {
	t.Helper()
	if err := chore(s.process)(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// chore returns the chore that ends orders that wait too long.
func chore(process function.Handler) func(context.Context, function.Publish) error {
	chores := process.(function.Worker).Chores()
	i := slices.IndexFunc(chores, func(c function.Chore) bool { return c.Name == "order-deadlines" })
	return chores[i].Run
}

// order returns an order as it stands.
func (s *shop) order(t fataler, id string) order.Order {
	t.Helper()
	o, err := s.api.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// stored returns the facts of an order.
func (s *shop) stored(t fataler, id string) []event.Event {
	t.Helper()
	recorded, err := s.api.Events().ReadStream(t.Context(), orderstore.Stream(id), 0, eventstore.MaxRead)
	if err != nil {
		t.Fatal(err)
	}
	events := make([]event.Event, len(recorded))
	for i, r := range recorded {
		events[i] = r.Event
	}
	return events
}

// waits returns what the table of deadlines says that an order waits for.
func (s *shop) waits(t fataler, id string) (step string) {
	t.Helper()
	err := s.api.DB().Read().QueryRowContext(t.Context(), "SELECT step FROM order_deadlines WHERE order_id = $1", id).Scan(&step)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return step
}

// word is the short name of a type: "payment.processed".
func word(eventType string) string {
	return strings.TrimSuffix(strings.TrimPrefix(eventType, "dev.millrace."), ".v1")
}

// words are what events tell.
func words(events []event.Event) string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = strings.TrimPrefix(word(e.Type()), "order.")
	}
	return strings.Join(all, " ")
}
