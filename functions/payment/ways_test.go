package payment

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/function"
)

// lines is what events tell, in short. No id in it comes from the clock or from chance.
func lines(events []event.Event) []string {
	short := []string{}
	for _, e := range events {
		short = append(short, strings.TrimPrefix(e.Type(), "dev.millrace.payment.")+" "+string(e.Data()))
	}
	return short
}

// The ids of the order 12345.
const (
	paymentID   = "pay_5994471abb01112afcc18159f6cc74b4"
	chargedOnce = `processed.v1 {"orderId":"12345","customerId":"c-7","paymentId":"` + paymentID + `","transactionId":"CH",` +
		`"amount":99.90,"currency":"EUR","paymentMethod":"card","processedAt":"2023-12-01T12:00:00Z"}`
	refundedOnce = `refunded.v1 {"orderId":"12345","customerId":"c-7","paymentId":"` + paymentID + `","transactionId":"RE",` +
		`"amount":99.90,"currency":"EUR","reason":"changed my mind","refundedAt":"2023-12-01T12:00:00Z"}`
	paidByHand = `processed.v1 {"orderId":"12345","customerId":"c-7","paymentId":"` + paymentID + `","transactionId":"txn-1",` +
		`"amount":99.90,"currency":"EUR","paymentMethod":"bank transfer","processedAt":"2023-12-01T12:00:00Z"}`
)

// Each way of an order, told by events in their order, and what becomes of its money.
var ways = []struct {
	name  string
	told  []function.Payload
	want  []string
	books paymentprovider.Account
}{
	{
		"charged", []function.Payload{created("12345", "99.90")},
		[]string{chargedOnce}, paymentprovider.Account{Charges: 1, Charged: money.MustParse("99.90")},
	}, {
		"charged and cancelled", []function.Payload{created("12345", "99.90"), cancelledOrder("12345")},
		[]string{chargedOnce, refundedOnce},
		paymentprovider.Account{Charges: 1, Refunds: 1, Charged: money.MustParse("99.90"), Refunded: money.MustParse("99.90")},
	}, {
		"out of stock, and therefore cancelled",
		[]function.Payload{created("12345", "99.90"), rejectedOrder("12345"), cancelledOrder("12345")},
		[]string{chargedOnce, refundedOnce},
		paymentprovider.Account{Charges: 1, Refunds: 1, Charged: money.MustParse("99.90"), Refunded: money.MustParse("99.90")},
	}, {
		"out of stock, and nobody follows it", []function.Payload{created("12345", "99.90"), rejectedOrder("12345")},
		[]string{chargedOnce, strings.Replace(refundedOnce, "changed my mind", "prod-7 is out of stock", 1)},
		paymentprovider.Account{Charges: 1, Refunds: 1, Charged: money.MustParse("99.90"), Refunded: money.MustParse("99.90")},
	}, {
		"out of stock, told as paid before",
		[]function.Payload{created("12345", "99.90"), paid("12345", "99.90", "CH"), rejectedOrder("12345")},
		[]string{chargedOnce}, paymentprovider.Account{Charges: 1, Charged: money.MustParse("99.90")},
	}, {
		"out of stock, told as paid afterwards, and cancelled",
		[]function.Payload{created("12345", "99.90"), rejectedOrder("12345"), paid("12345", "99.90", "CH"), cancelledOrder("12345")},
		[]string{chargedOnce, refundedOnce},
		paymentprovider.Account{Charges: 1, Refunds: 1, Charged: money.MustParse("99.90"), Refunded: money.MustParse("99.90")},
	}, {
		"manual, paid by hand, out of stock",
		[]function.Payload{manual("12345", "99.90"), paid("12345", "99.90", "txn-1"), rejectedOrder("12345")},
		[]string{paidByHand}, paymentprovider.Account{},
	}, {
		"declined, and therefore cancelled", []function.Payload{created("12345", "99.13"), cancelledOrder("12345")},
		[]string{`failed.v1 {"orderId":"12345","customerId":"c-7","paymentId":"` + paymentID + `","amount":99.13,"currency":"EUR",` +
			`"reason":"card declined","failedAt":"2023-12-01T12:00:00Z"}`},
		paymentprovider.Account{Declined: 1},
	}, {
		"told as paid afterwards", []function.Payload{created("12345", "99.90"), paid("12345", "99.90", "CH")},
		[]string{chargedOnce}, paymentprovider.Account{Charges: 1, Charged: money.MustParse("99.90")},
	}, {
		"manual", []function.Payload{manual("12345", "99.90")}, []string{}, paymentprovider.Account{},
	}, {
		"manual, paid by hand", []function.Payload{manual("12345", "99.90"), paid("12345", "99.90", "txn-1")},
		[]string{paidByHand}, paymentprovider.Account{},
	}, {
		"manual, paid by hand without an amount", []function.Payload{manual("12345", "99.90"), paid("12345", "0", "txn-1")},
		[]string{paidByHand}, paymentprovider.Account{},
	}, {
		"manual, paid by hand without a currency",
		[]function.Payload{manual("12345", "99.90"), order.Paid{
			OrderID: "12345", CustomerID: "c-7", Amount: money.MustParse("99.90"), PaymentMethod: "bank transfer", TransactionID: "txn-1",
		}},
		[]string{paidByHand}, paymentprovider.Account{},
	}, {
		"manual, paid by hand, cancelled",
		[]function.Payload{manual("12345", "99.90"), paid("12345", "99.90", "txn-1"), cancelledOrder("12345")},
		[]string{paidByHand, refundedOnce}, paymentprovider.Account{Refunds: 1, Refunded: money.MustParse("99.90")},
	}, {
		"manual, cancelled", []function.Payload{manual("12345", "99.90"), cancelledOrder("12345")}, []string{}, paymentprovider.Account{},
	}, {
		"paid by hand before it was seen", []function.Payload{paid("12345", "99.90", "txn-1"), created("12345", "99.90")},
		[]string{paidByHand}, paymentprovider.Account{},
	}, {
		"cancelled before it was seen", []function.Payload{cancelledOrder("12345"), created("12345", "99.90")},
		[]string{}, paymentprovider.Account{},
	}, {
		"rejected before it was seen", []function.Payload{rejectedOrder("12345"), manual("12345", "99.90")},
		[]string{}, paymentprovider.Account{},
	}, {
		"of another program, a whole number", []function.Payload{order.Created{OrderID: "12345", CustomerID: "c-7", Amount: money.MustParse("42")}},
		[]string{strings.NewReplacer("99.90", "42", "EUR", "USD").Replace(chargedOnce)},
		paymentprovider.Account{Charges: 1, Charged: money.MustParse("42")},
	}, {
		"for nothing, out of stock", []function.Payload{created("12345", "0"), rejectedOrder("12345")},
		[]string{strings.NewReplacer("99.90", "0", "CH", paymentID, "card", "free").Replace(chargedOnce)}, paymentprovider.Account{},
	}, {
		"for nothing", []function.Payload{created("12345", "0"), cancelledOrder("12345")},
		[]string{strings.NewReplacer("99.90", "0", "CH", paymentID, "card", "free").Replace(chargedOnce)}, paymentprovider.Account{},
	},
}

func TestWays(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *shop) {
				s.requireWay(t, none, 0, way.told, way.want, way.books)
			})
		})
	}
}

// Whatever happens to the delivery of one of its events: the order goes the same way.
func TestWaysUnderFaults(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		for place := range way.told {
			for _, kind := range faults[1:] {
				t.Run(fmt.Sprintf("%s, fault %d at event %d", way.name, kind, place), func(t *testing.T) {
					t.Parallel()
					newShop(t, kinds["sqlite"](t)).requireWay(t, kind, place, way.told, way.want, way.books)
				})
			}
		}
	}
}

// requireWay tells facts, one of them under a fault, then all of them again, before and after the time in which somebody may
// tell that they follow the order, and checks what became of the order's money.
func (s *shop) requireWay(t *testing.T, kind fault, place int, told []function.Payload, want []string, books paymentprovider.Account) {
	t.Helper()
	told = slices.Clone(told) // other tests are told the same, with charges of their own
	events := make([]event.Event, len(told))
	for i, p := range told {
		if p, ok := p.(order.Paid); ok && p.TransactionID == "CH" {
			p.TransactionID = s.provider.Charges("12345")[0].ID
			told[i] = p
		}
		events[i] = newEvent(t, fmt.Sprintf("event-%d", i), told[i])
		if i == place {
			if err := s.handleUnder(kind, events[i]); err != nil && function.VerdictOf(err) != function.Retry && function.VerdictOf(err) != function.Broken {
				t.Errorf("under a fault: %v", err)
			}
		}
		for range 2 {
			if err := s.insist(events[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, later := range []time.Duration{0, longEnough} {
		if err := s.insistWait(later); err != nil {
			t.Errorf("after %s: %v", later, err)
		}
		for _, e := range events {
			if err := s.insist(e); err != nil {
				t.Errorf("delivered again: %v", err)
			}
		}
	}
	ids := strings.NewReplacer()
	if all := s.provider.Charges("12345"); len(all) > 0 {
		ids = strings.NewReplacer(all[0].ID, "CH")
	}
	got := s.told()["12345"]
	for i, line := range lines(got) {
		if all := s.provider.Refunds("12345"); len(all) > 0 {
			line = strings.ReplaceAll(line, all[0].ID, "RE")
		}
		if i >= len(want) || ids.Replace(line) != want[i] {
			t.Errorf("told %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	books.OrderID = "12345"
	if diff := cmp.Diff(books, s.account("12345"), cmp.Comparer(money.Amount.Equal)); diff != "" {
		t.Error(diff)
	}
}
