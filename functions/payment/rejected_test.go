package payment

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
	fact "github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/payment/internal/provider"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/function"
)

// confirmed is how the order service repeats what was charged for an order.
func (s *shop) confirmed(id string) order.Paid {
	s.Helper()
	charges := s.provider.Charges(id)
	if len(charges) != 1 {
		s.Fatalf("charged %+v", charges)
	}
	return paid(id, "99.90", charges[0].ID)
}

// requireTold checks which events told of the order 12345 since it was asked last, by the last words of their types.
func (s *shop) requireTold(want ...string) {
	s.Helper()
	var got []string
	for _, e := range s.told()["12345"] {
		got = append(got, strings.Split(e.Type(), ".")[3])
	}
	if !slices.Equal(got, want) {
		s.Errorf("told %q, want %q", got, want)
	}
}

const longEnough = 15*time.Minute + time.Second

// The order service ships what is paid, in stock or not, and drops the rejection of what is shipped: the goods were sent, and
// the money went back.
func TestAShippedOrderKeepsItsMoneyThoughItsGoodsAreRejected(t *testing.T) {
	t.Parallel()
	orders := map[string]struct {
		placed func() order.Created
		paid   func(s *shop) order.Paid
	}{
		"charged":      {func() order.Created { return created("12345", "99.90") }, func(s *shop) order.Paid { return s.confirmed("12345") }},
		"paid by hand": {func() order.Created { return manual("12345", "99.90") }, func(*shop) order.Paid { return paid("12345", "99.90", "txn-1") }},
	}
	shipped := order.Shipped{OrderID: "12345", CustomerID: "c-7"}
	for name, o := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(_ *testing.T, s *shop) {
				s.tell(o.placed())
				s.tell(o.paid(s), shipped, rejectedOrder("12345"))
				s.requireKept()
			})
		})
	}
	// What the services tell of one payment crosses on the topic.
	t.Run("told as paid after the rejection", func(t *testing.T) {
		t.Parallel()
		each(t, func(_ *testing.T, s *shop) {
			s.tell(created("12345", "99.90"), rejectedOrder("12345"))
			s.tell(s.confirmed("12345"), shipped, rejectedOrder("12345"))
			s.requireKept()
		})
	})
}

// requireKept checks that the money of the order 12345 is kept however long nobody cancels it, and goes back when somebody does.
func (s *shop) requireKept() {
	s.Helper()
	if err := s.insistWait(longEnough); err != nil {
		s.Error(err)
	}
	s.requireTold("processed")
	if a := s.account("12345"); a.Refunds != 0 {
		s.Errorf("account %+v", a)
	}
	s.tell(cancelledOrder("12345"))
	s.requireTold("refunded")
	if a := s.account("12345"); a.Refunds != 1 {
		s.Errorf("account %+v", a)
	}
}

// The chore has looked at a rejected order when it is told as paid.
func TestAnOrderThatIsFollowedWhileItsRefundBeginsKeepsItsMoney(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(created("12345", "99.90"), rejectedOrder("12345"))
		s.passed.Add(int64(longEnough))
		row, err := s.ledger.claim(t.Context(), "12345", s.now().Add(s.patience))
		if err != nil || row.state != rejected {
			t.Fatalf("claimed %+v, %v", row, err)
		}
		s.tell(s.confirmed("12345"))
		if err := s.refundClaimed(t.Context(), row); err != nil {
			t.Error(err)
		}
		s.requireKept()
	})
}

// A process that lost its partition charges a rejected order, while its successor hears that the order is paid.
func TestAnOrderThatIsFollowedWhileItIsChargedKeepsItsMoney(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		placed := s.event(created("12345", "99.90"))
		if err := s.handleUnder(refuse, placed); err == nil {
			t.Fatal("charged though the provider is down")
		}
		s.front.before(func() {
			if err := s.insist(placed); err != nil {
				t.Error(err)
			}
			for _, charge := range s.provider.Charges("12345") {
				if err := s.insist(s.event(paid("12345", "99.90", charge.ID))); err != nil {
					t.Error(err)
				}
			}
		})
		s.tell(rejectedOrder("12345"))
		s.requireKept()
	})
}

// An order that nobody tells as paid is nobody's whom the payment service could wait for.
func TestARejectedOrderThatNobodyFollowsGetsItsMoneyBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		e := s.event(rejectedOrder("12345"))
		s.tell(created("12345", "99.90"))
		if err := s.insist(e); err != nil {
			t.Fatal(err)
		}
		s.requireTold("processed")
		for _, d := range []time.Duration{0, 14 * time.Minute} {
			if err := s.insistWait(d); err != nil {
				t.Error(err)
			}
			s.requireTold()
		}
		if err := s.insistWait(longEnough); err != nil {
			t.Error(err)
		}
		got := s.told()["12345"]
		if len(got) != 1 || got[0].Type() != fact.RefundedType || got[0].Extensions()[function.CausationID] != e.ID() ||
			got[0].ID() != function.EmittedID(name, e.Source(), e.ID(), answerRefund) {
			t.Fatalf("told %s", got)
		}
		if r := data[fact.Refunded](t, got[0]); r.Reason != "prod-7 is out of stock" {
			t.Errorf("told %+v", r)
		}
		s.tell(rejectedOrder("12345"), cancelledOrder("12345"))
		if err := s.insistWait(longEnough); err != nil {
			t.Error(err)
		}
		s.requireTold()
		if a := s.account("12345"); a.Refunds != 1 {
			t.Errorf("account %+v", a)
		}
	})
}

func TestARejectedOrderIsRefundedAtOnceWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, s *shop) {
		s.tell(created("12345", "99.90"), rejectedOrder("12345"))
		s.requireTold("processed")
		s.tell(cancelledOrder("12345"))
		s.requireTold("refunded")
	})
}

// The provider is down when the money is due: the order is left for later, and holds up no other.
func TestARefundThatIsDueIsTriedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(created("12345", "99.90"), rejectedOrder("12345"))
		for _, mode := range []paymentprovider.Mode{{State: paymentprovider.Down}, {State: paymentprovider.Losing}} {
			if err := s.provider.SetMode(mode); err != nil {
				t.Fatal(err)
			}
			err := s.wait(longEnough)
			var down *function.UnavailableError
			if !errors.As(err, &down) || down.Dependency != provider.Dependency || !strings.Contains(err.Error(), "order 12345") {
				t.Errorf("%s: got %v", mode.State, err)
			}
			if err := s.wait(0); err != nil {
				t.Errorf("%s, right afterwards: %v", mode.State, err)
			}
		}
		if err := s.provider.SetMode(paymentprovider.Mode{}); err != nil {
			t.Fatal(err)
		}
		if err := s.insistWait(longEnough); err != nil {
			t.Error(err)
		}
		s.requireTold("processed", "refunded")
		if a := s.account("12345"); a.Refunds != 1 {
			t.Errorf("account %+v", a)
		}
	})
}

// One refund that the provider refuses is told of, and holds up no other.
func TestARefundThatIsRefusedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		s.tell(created("1", "99.90"), created("12345", "99.90"), rejectedOrder("1"), rejectedOrder("12345"))
		_, err := s.ledger.db.Write().ExecContext(t.Context(), "UPDATE payments SET transaction_id = 'unknown' WHERE order_id = '1'")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.insistWait(longEnough); err == nil || !strings.Contains(err.Error(), "refund of order 1:") {
			t.Errorf("got %v", err)
		}
		s.requireTold("processed", "refunded")
	})
}

// More orders are due than are looked up at once.
func TestManyRefundsAreDue(t *testing.T) {
	t.Parallel()
	s := newShop(t, kinds["sqlite"](t))
	const orders = refundsPage + 5
	var due []event.Event
	for n := range orders {
		id := "order-" + strings.Repeat("x", n)
		s.tell(created(id, "0.50"))
		due = append(due, s.event(inventory.Rejected{OrderID: id}))
	}
	for _, e := range due {
		if err := s.insist(e); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.insistWait(longEnough); err != nil {
			t.Error(err)
		}
	}
	if all := s.provider.Refunds(""); len(all) != orders {
		t.Errorf("%d refunds", len(all))
	}
}
