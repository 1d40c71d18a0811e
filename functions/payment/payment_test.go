package payment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/function"
)

// Ids follow from the event that led to a fact, so that they are the same whenever it is delivered.
func TestIDsFollowFromEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(created("12345", "99.90"), cancelledOrder("12345"))
		got := s.told()["12345"]
		want := []string{
			function.EmittedID("payment", "/order-service", "event-1", 0), function.EmittedID("payment", "/order-service", "event-2", 1),
		}
		for i, e := range got {
			if e.ID() != want[i] || e.Extensions()[function.CausationID] != fmt.Sprintf("event-%d", i+1) || e.Subject() != "12345" {
				t.Errorf("event %d: %s", i, e)
			}
		}
	})
}

// What is told belongs to the trace of the attempt, or else to that of the event.
func TestTraces(t *testing.T) {
	t.Parallel()
	const ofEvent, ofAttempt = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"
	s := newShop(t, kinds["sqlite"](t))
	traced := func(id string) event.Event {
		e := s.event(created(id, "99.90"))
		e.SetExtension(function.TraceParent, ofEvent)
		return e
	}
	if err := s.insist(traced("1")); err != nil {
		t.Fatal(err)
	}
	ctx := function.WithTrace(t.Context(), function.NewTrace(ofAttempt, ""))
	if err := insist(ctx, s, traced("2")); err != nil {
		t.Fatal(err)
	}
	s.tell(created("3", "99.90"))
	story := s.told()
	for id, want := range map[string]string{"1": ofEvent, "2": ofAttempt, "3": ""} {
		if got := function.TraceOf(story[id][0]); got.Parent != want {
			t.Errorf("order %s: trace %q, want %q", id, got.Parent, want)
		}
	}
}

// An order that is called off while nobody knows whether it was charged is charged and refunded, in this order.
func TestCalledOffInDoubt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		if err := s.handleUnder(lose, s.event(created("12345", "99.90"))); function.VerdictOf(err) != function.Broken {
			t.Fatalf("got %v", err)
		}
		s.tell(cancelledOrder("12345"), created("12345", "99.90"))
		got := lines(s.told()["12345"])
		if a := s.account("12345"); len(got) != 2 || a.Charges != 1 || a.Refunds != 1 || !strings.HasPrefix(got[0], "processed") || !strings.HasPrefix(got[1], "refunded") {
			t.Errorf("told %q, account %+v", got, a)
		}
	})
}

func TestTheFirstAmountCounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(created("12345", "99.90"))
		s.tell(created("12345", "99.9")) // the same
		other := created("12345", "99.90")
		other.Currency = "USD"
		for _, again := range []order.Created{created("12345", "1"), other} {
			err := s.insist(s.event(again))
			var amount *AmountError
			if function.VerdictOf(err) != function.Dropped || !errors.As(err, &amount) || amount.OrderID != "12345" || amount.Kept.String() != "99.90" {
				t.Errorf("got %v", err)
			}
		}
		if got := s.told()["12345"]; len(got) != 1 || s.account("12345").Charged.String() != "99.90" {
			t.Errorf("told %q, account %+v", lines(got), s.account("12345"))
		}
	})
}

// Somebody else took the money of an order that is paid or called off: people should hear of it.
func TestPaidByHandBesides(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]function.Payload{
		"charged": created("12345", "99.90"), "declined": created("12345", "99.13"), "cancelled": cancelledOrder("12345"),
		"by hand": paid("12345", "99.90", "txn-0"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *shop) {
				s.tell(before)
				told := len(s.told()["12345"])
				err := s.insist(s.event(paid("12345", "99.90", "txn-1")))
				if function.VerdictOf(err) != function.Dropped || !strings.Contains(err.Error(), "order 12345 is paid by hand") {
					t.Errorf("got %v", err)
				}
				if got := s.told()["12345"]; len(got) != 0 || told > 1 {
					t.Errorf("told %q", lines(got))
				}
			})
		})
	}
}

// No attempt is spent while the provider is down, and the order is charged when it is up again.
func TestTheProviderIsDownForAWhile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		e := s.event(created("12345", "99.90"))
		for _, mode := range []paymentprovider.Mode{
			{State: paymentprovider.Down}, {State: paymentprovider.Hanging}, {State: paymentprovider.Losing},
		} {
			if err := s.provider.SetMode(mode); err != nil {
				t.Fatal(err)
			}
			err := s.handle(e)
			var down *function.UnavailableError
			if !errors.As(err, &down) || down.Dependency != "payment-provider" || strings.Contains(err.Error(), key) {
				t.Errorf("%s: got %v", mode.State, err)
			}
		}
		if got := s.told(); len(got) != 0 {
			t.Errorf("told %v", got)
		}
		if err := s.provider.SetMode(paymentprovider.Mode{}); err != nil {
			t.Fatal(err)
		}
		if err := s.insist(e); err != nil {
			t.Fatal(err)
		}
		if got := s.told()["12345"]; len(got) != 1 || s.account("12345").Charges != 1 {
			t.Errorf("told %q, account %+v", lines(got), s.account("12345"))
		}
	})
}

func TestWhatIsDeadLettered(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		for _, p := range []function.Payload{
			created("a\x00b", "1"), paid("a", "1", "t\x00"), cancelledOrder("a\x00b"), rejectedOrder("a\x00b"), order.Created{},
		} {
			if err := s.handle(s.event(p)); function.VerdictOf(err) != function.DeadLetter {
				t.Errorf("%T: got %v", p, err)
			}
		}
		// What follows from this event is too large for an event.
		long := newEvent(t, strings.Repeat("x", 600<<10), created("12345", "99.90"))
		long.SetExtension(function.CorrelationID, nil)
		if err := s.handle(long); function.VerdictOf(err) != function.DeadLetter || len(s.provider.Charges("")) > 0 {
			t.Errorf("got %.200v, booked %+v", err, s.provider.Charges(""))
		}
		// The provider knows the payment's id with another amount: nobody may say that the order is paid, or that it is not.
		s.tell(created("12345", "99.90"))
		if _, err := s.ledger.db.Write().ExecContext(t.Context(), "UPDATE payments SET state = 'charging', amount = '1'"); err != nil {
			t.Fatal(err)
		}
		if err := s.insist(s.event(created("12345", "1"))); function.VerdictOf(err) != function.DeadLetter || !strings.Contains(err.Error(), "order 12345") {
			t.Errorf("got %v", err)
		}
	})
}

// A refund that the provider refuses goes on from where it stands when its dead letter is replayed.
func TestARefusedRefundIsReplayed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(created("12345", "99.90"))
		rename := func(from, to string) {
			t.Helper()
			_, err := s.ledger.db.Write().ExecContext(t.Context(), "UPDATE payments SET transaction_id = replace(transaction_id, $1, $2)", from, to)
			if err != nil {
				t.Fatal(err)
			}
		}
		e := s.event(cancelledOrder("12345"))
		rename("ch_", "unknown_")
		for range 2 {
			if err := s.insist(e); function.VerdictOf(err) != function.DeadLetter || !strings.Contains(err.Error(), "refund of order 12345") {
				t.Errorf("got %v", err)
			}
		}
		rename("unknown_", "ch_")
		if err := s.insist(e); err != nil {
			t.Error(err)
		}
		if got := s.told()["12345"]; len(got) != 2 || s.account("12345").Refunds != 1 {
			t.Errorf("told %q, account %+v", lines(got), s.account("12345"))
		}
	})
}

func TestPassBy(t *testing.T) {
	t.Parallel()
	s := newShop(t, kinds["sqlite"](t))
	for _, p := range []function.Payload{
		order.Shipped{OrderID: "1", CustomerID: "2"}, order.Refunded{OrderID: "1", CustomerID: "2"},
	} {
		if err := s.handle(s.event(p)); !errors.Is(err, function.ErrPassedBy) {
			t.Errorf("%s: got %v", p.EventType(), err)
		}
	}
	if types := s.Types(); len(types) != 13 {
		t.Errorf("%d types are accepted: %v", len(types), types)
	}
}

func TestTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		if err := s.ledger.close(); err != nil {
			t.Fatal(err)
		}
		err := s.handle(s.event(created("12345", "99.90")))
		var down *function.UnavailableError
		if !errors.As(err, &down) || down.Dependency != "payment-database" || len(s.provider.Charges("")) != 0 {
			t.Errorf("got %v, booked %v", err, s.provider.Charges(""))
		}
	})
}

// A database that does not answer in time is away, too: no attempt is spent.
func TestTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(manual("12345", "99.90"))
		tx, err := s.ledger.db.Write().BeginTx(t.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(t.Context(), "UPDATE payments SET changed = 0")
		}
		if err != nil {
			t.Fatal(err)
		}
		e := s.event(cancelledOrder("12345"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.Handle(ctx, e); function.VerdictOf(err) != function.Broken {
			t.Errorf("got %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := s.insist(e); err != nil {
			t.Error(err)
		}
	})
}
