package orderprocess_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/functions/internal/functiontest"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	orderprocess "github.com/millrace/millrace/functions/order-process"
	"github.com/millrace/millrace/runtime/function"
)

// testdata/event.json, and testdata/envelope.json, the same fact in the JSON envelope, make an order paid: then
// testdata/paid.json is published, once.
func TestGolden(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		amount := money.MustParse("99.90")
		_, err := s.api.Change(t.Context(), "12345", orderstore.Cause{}, func(o order.Order) ([]function.Payload, error) {
			items := []fact.Item{{ProductID: "prod-4", Quantity: 1, Price: amount}}
			return o.Create(order.Creation{CustomerID: "customer-789", Items: items, At: noon})
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		in, wrapped := functiontest.Event(t, "event.json"), functiontest.Event(t, "envelope.json")
		for _, e := range []event.Event{in, in, wrapped, wrapped} {
			if dropped := s.deliver(t, e); dropped != "" {
				t.Errorf("dropped: %s", dropped)
			}
		}
		s.relay(t)
		topic := s.topics["12345"]
		if got := words(topic); got != "created paid" {
			t.Fatalf("published %s", got)
		}
		if diff := cmp.Diff(functiontest.View(t, functiontest.Event(t, "paid.json")), functiontest.View(t, topic[1])); diff != "" {
			t.Error(diff)
		}
	})
}

// The function accepts whatever is told of orders: nothing on its topic is unknown to it.
func TestTypes(t *testing.T) {
	t.Parallel()
	s := open(t, environments["sqlite"](t))
	accepted := map[string]bool{}
	for _, eventType := range s.process.Types() {
		accepted[eventType] = true
	}
	for _, known := range schemas.All() {
		if known.Topic == orderprocess.Spec.Topic && !accepted[known.Name] {
			t.Errorf("%s is not accepted", known.Name)
		}
	}
}

// The payload's date says when something happened, or else the event's time, or else the clock.
func TestWhen(t *testing.T) {
	t.Parallel()
	s := open(t, environments["sqlite"](t))
	s.clock.move(2 * time.Hour)
	for _, tt := range []struct {
		name      string
		told, has time.Time
		want      string
	}{
		{"told", noon, noon.Add(time.Hour), "12:00:00"},
		{"by its time", time.Time{}, noon.Add(time.Hour), "13:00:00"},
		{"by no time", time.Time{}, time.Time{}, "14:00:00"},
	} {
		id := s.next()
		s.do(t, "create", id)
		e := s.tell(t, payment.Failed{OrderID: id, FailedAt: tt.told})
		e.SetTime(tt.has)
		s.deliver(t, e)
		if got := s.order(t, id).Cancelled.CancelledAt.Format(time.TimeOnly); got != tt.want {
			t.Errorf("%s: cancelled at %s, want %s", tt.name, got, tt.want)
		}
	}
}

// What other services tell has no bounds, what is published has.
func TestReasons(t *testing.T) {
	t.Parallel()
	s := open(t, environments["sqlite"](t))
	for told, want := range map[string]string{
		"":                                "payment failed",
		"card declined":                   "payment failed: card declined",
		strings.Repeat("x", 100_000):      "payment failed: " + strings.Repeat("x", 1000),
		"x" + strings.Repeat("ö", 50_000): "payment failed: x" + strings.Repeat("ö", 499),
	} {
		id := s.next()
		s.do(t, "create", id)
		s.deliver(t, s.tell(t, payment.Failed{OrderID: id, Reason: told}))
		if got := s.order(t, id).Cancelled.Reason; got != want {
			t.Errorf("reason %.50s… of %d bytes, want %.50s…", got, len(got), want)
		}
	}
}

// What can never become a fact is dead-lettered at once; while the database is down, events wait.
func TestFailures(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		one, other := s.next(), s.next()
		s.do(t, "create", one)
		s.do(t, "create", other)
		charged := s.tell(t, payment.Processed{OrderID: one, Amount: total})
		s.deliver(t, charged)
		sameID := s.tell(t, payment.Processed{OrderID: other, Amount: total})
		sameID.SetID(charged.ID())
		tooLong := s.tell(t, payment.Processed{OrderID: other, Amount: total, PaymentMethod: strings.Repeat("x", order.MaxFactSize)})
		broken := charged
		broken.DataEncoded = []byte(`{"orderId":7}`)
		for name, e := range map[string]event.Event{"the id of another event": sameID, "too long": tooLong, "broken": broken} {
			if _, err := s.process.Handle(t.Context(), e); function.VerdictOf(err) != function.DeadLetter {
				t.Errorf("%s: %v", name, err)
			}
		}

		process := s.start(t)
		if err := process.(io.Closer).Close(); err != nil {
			t.Fatal(err)
		}
		created := s.tell(t, fact.Created{OrderID: one, CustomerID: "customer-1"})
		reserved := s.tell(t, inventory.Reserved{OrderID: one})
		for _, e := range []event.Event{created, reserved} {
			if _, err := process.Handle(t.Context(), e); function.VerdictOf(err) != function.Broken {
				t.Errorf("%s without a database: %v", e.Type(), err)
			}
		}
	})
}

// A handler that cannot be made says which variable is to be changed.
func TestSettings(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing", "orders.db")
	for name, tt := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"no database":    {map[string]string{}, "DATABASE_URL"},
		"no folder":      {map[string]string{"DATABASE_URL": missing}, missing},
		"no time":        {map[string]string{"DATABASE_URL": "x.db", "ORDER_PAYMENT_TIMEOUT": "0s"}, "ORDER_PAYMENT_TIMEOUT"},
		"a wrong time":   {map[string]string{"DATABASE_URL": "x.db", "ORDER_STOCK_TIMEOUT": "soon"}, "ORDER_STOCK_TIMEOUT"},
		"too much time":  {map[string]string{"DATABASE_URL": "x.db", "ORDER_MANUAL_PAYMENT_TIMEOUT": "721h"}, "ORDER_MANUAL_PAYMENT_TIMEOUT"},
		"wrong database": {map[string]string{"DATABASE": "paper"}, "DATABASE"},
	} {
		if _, err := orderprocess.Spec.New(lookup(tt.environment)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %s", name, err, tt.want)
		}
	}
	if _, err := orderprocess.Spec.Complete(); err != nil {
		t.Error(err)
	}
}
