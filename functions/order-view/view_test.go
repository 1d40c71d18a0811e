package orderview

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	// A dependency of sarama ticks for ever, once for the process.
	goleak.VerifyTestMain(server.Tests(m), goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// places are where an empty database of each kind is.
var places = map[string]func(t *testing.T) string{
	"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "orders.db") },
	"postgres": func(t *testing.T) string { return server.Database(t) },
}

// shop is an order service whose view is kept by the function.
type shop struct {
	*View

	environment map[string]string
	handler     function.Handler
	orders      *orderstore.Store
}

func open(t *testing.T, kind string) *shop {
	t.Helper()
	place := places[kind](t)
	c := database.Config{Kind: kind, URL: config.NewSecret(place), Connections: 8}
	orders, err := orderstore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	view, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		view.Close()
		orders.Close()
	})
	return &shop{view, map[string]string{"DATABASE": kind, "DATABASE_URL": place}, handler(view), orders}
}

// each runs a test in an empty shop of each kind.
func each(t *testing.T, test func(*testing.T, *shop)) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(places)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, kind))
		})
	}
}

func (s *shop) lookup(key string) (string, bool) {
	value, ok := s.environment[key]
	return value, ok
}

var noon = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)

// create creates an order and returns its first fact as it is published.
func (s *shop) create(t *testing.T, id string) event.Event {
	t.Helper()
	return s.change(t, id, func(o order.Order) ([]function.Payload, error) {
		return o.Create(order.Creation{
			CustomerID: "customer-1", Items: []fact.Item{{ProductID: "prod-1", Quantity: 1, Price: money.MustParse("5")}}, At: noon,
		})
	})
}

func (s *shop) change(t *testing.T, id string, decide orderstore.Decide) event.Event {
	t.Helper()
	if _, err := s.orders.Change(t.Context(), id, orderstore.Cause{At: noon}, decide, nil); err != nil {
		t.Fatal(err)
	}
	recorded, err := s.orders.Events().ReadStream(t.Context(), orderstore.Stream(id), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return recorded[len(recorded)-1].Event
}

func (s *shop) handle(t *testing.T, e event.Event) error {
	t.Helper()
	out, err := s.handler.Handle(t.Context(), e)
	if len(out) > 0 {
		t.Errorf("emitted %v", out)
	}
	return err
}

// listed returns the orders of the view, the newest first.
func (s *shop) listed(t *testing.T) (ids []string) {
	t.Helper()
	page, err := orderview.NewQueries(s.orders.DB()).All(t.Context(), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Orders {
		ids = append(ids, fmt.Sprintf("%s %s %d", r.OrderID, r.Status, r.Version))
	}
	return ids
}

func TestAnEventIsInTheViewWhenItIsHandled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		created := s.create(t, "o-1")
		if err := s.handle(t, created); err != nil {
			t.Fatal(err)
		}
		paid := s.change(t, "o-1", func(o order.Order) ([]function.Payload, error) {
			return o.Pay(order.Payment{Amount: money.MustParse("5"), At: noon})
		})
		for _, e := range []event.Event{created, paid, created, paid} { // and when it is delivered again
			if err := s.handle(t, e); err != nil {
				t.Error(err)
			}
		}
		if got := s.listed(t); !slices.Equal(got, []string{"o-1 paid 2"}) {
			t.Errorf("listed %q", got)
		}
		s.create(t, "o-2")
		unnumbered := s.create(t, "o-3")
		unnumbered.SetExtension(envelope.AggregateVersion, nil)
		if err := s.handle(t, unnumbered); err != nil {
			t.Error(err)
		}
		if got := s.listed(t); !slices.Equal(got, []string{"o-3 pending 1", "o-2 pending 1", "o-1 paid 2"}) {
			t.Errorf("listed %q", got)
		}
	})
}

// Orders of others, and events that are no facts of orders, do not make the view catch up.
func TestForeignEventsPassBy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		own := s.create(t, "o-1")
		for name, change := range map[string]func(*event.Event){
			"another service": func(e *event.Event) { e.SetSource("/load-test") },
			"another shop":    func(e *event.Event) { e.SetSubject("o-2") },
			"no subject":      func(e *event.Event) { e.SetSubject("") },
			"no such order":   func(e *event.Event) { e.SetSubject(strings.Repeat("x", 1000)) },
			"of a payment":    func(e *event.Event) { e.SetType(payment.ProcessedType) },
		} {
			e := own.Clone()
			change(&e)
			if verdict := function.VerdictOf(s.handle(t, e)); verdict != function.Done && verdict != function.Dropped {
				t.Errorf("%s: %s", name, verdict)
			}
		}
		if got := s.listed(t); len(got) != 0 {
			t.Errorf("listed %q", got)
		}
	})
}

// An event whose version is that of a fact the store does not have yet, or never, does not wait for it.
func TestAVersionThatIsNotStored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		e := s.create(t, "o-1")
		e.SetExtension(envelope.AggregateVersion, 7)
		if err := s.handle(t, e); err != nil {
			t.Error(err)
		}
		if got := s.listed(t); len(got) != 1 {
			t.Errorf("listed %q", got)
		}
	})
}

// Events that wait while the event store holds them back are in the view when they are handled.
func TestAnEventThatIsHeldBack(t *testing.T) {
	t.Parallel()
	s := open(t, "postgres")
	earlier, err := s.orders.DB().Write().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	e := event.New()
	e.SetID("earlier")
	e.SetSource("/elsewhere")
	e.SetType("test.happened.v1")
	write := eventstore.Write{Stream: "elsewhere", Events: []event.Event{e}}
	if _, err := s.orders.Events().In(earlier).Append(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	created := s.create(t, "o-1")
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		if err := s.handle(t, created); err != nil {
			t.Error(err)
		}
		if got := s.listed(t); len(got) != 1 {
			t.Errorf("handled, but listed %q", got)
		}
	}()
	select {
	case <-handled:
		t.Error("handled while an earlier event was on its way")
	case <-time.After(2 * pause): // long enough for a handler that does not wait to be wrong
	}
	if err := earlier.Commit(); err != nil {
		t.Fatal(err)
	}
	<-handled
}

// While the view is stopped events wait, without an attempt, and none is to blame.
func TestAStoppedView(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		e := event.New()
		e.SetID("poison")
		e.SetSource("/elsewhere")
		e.SetType("test.happened.v1")
		write := eventstore.Write{Stream: orderstore.Stream("o-0"), Events: []event.Event{e}}
		if _, err := s.orders.Events().Append(t.Context(), write); err != nil {
			t.Fatal(err)
		}
		err := s.handle(t, s.create(t, "o-1"))
		if function.VerdictOf(err) != function.Broken || !strings.Contains(err.Error(), `"poison"`) || !strings.Contains(err.Error(), "order-view") {
			t.Errorf("error %v", err)
		}
	})
}

// done counts the events that were handled.
type done struct{ events, others atomic.Int64 }

func (d *done) Observe(o *pipeline.Outcome) {
	if o.Verdict == function.Done {
		d.events.Add(1)
	} else {
		d.others.Add(1)
	}
}

// The whole function: each event of the topic is handled, foreign ones too, and then the view has the orders.
func TestFromKafka(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		const orders = 30
		broker := runtimetest.Kafka(t, nil)
		broker.Embedded(t) // where order-events is nobody else's
		for _, topic := range []string{fact.Topic, "dead-letter-queue"} {
			broker.CreateTopic(t, topic, 3, nil)
		}
		maps.Copy(s.environment, map[string]string{
			"KAFKA_BROKERS": strings.Join(broker.Addrs, ","), "HTTP_ADDR": "127.0.0.1:0", "COMMIT_INTERVAL": "20ms",
		})
		var seen done
		s.start(t, &seen)
		var want []string
		for n := range orders {
			own := s.create(t, fmt.Sprint("o-", n))
			foreign := own.Clone()
			foreign.SetSubject(fmt.Sprint("foreign-", n))
			produce(t, broker, own)
			produce(t, broker, foreign)
			want = append(want, fmt.Sprintf("o-%d pending 1", n))
		}
		runtimetest.Eventually(t, "all events are handled", func() bool { return seen.events.Load() == 2*orders })
		slices.Reverse(want)
		if got := s.listed(t); !slices.Equal(got, want) || seen.others.Load() > 0 {
			t.Errorf("listed %q, want %q; %d events were not done", got, want, seen.others.Load())
		}
	})
}

func produce(t *testing.T, broker *runtimetest.Broker, e event.Event) {
	t.Helper()
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Key: []byte(e.Subject()), Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	broker.Produce(t, fact.Topic, r)
}

// start runs the function's program until the test ends.
func (s *shop) start(t *testing.T, o pipeline.Observer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, s.lookup, []function.Spec{Spec}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Observers: []pipeline.Observer{o}, Started: func() { close(started) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("Run() = %v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	if _, err := Spec.Complete(); err != nil {
		t.Fatal(err)
	}
	empty := func(string) (string, bool) { return "", false }
	if _, err := Spec.New(empty); err == nil || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("without a database: %v", err)
	}
}
