package payment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	fact "github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/function"
)

// delivery is an event that is delivered under a fault.
type delivery struct {
	event event.Event
	fault fault
}

// draw returns deliveries of events about an order, in any order and any number of times.
func (s *shop) draw(t *rapid.T, id string) []delivery {
	told := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.Event { return s.event(drawFact(t, id)) }), 1, 4).Draw(t, "told")
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) delivery {
		kind := none
		if rapid.Bool().Draw(t, "disturbed") {
			kind = rapid.SampledFrom([]fault{refuse, lose, leave, unstarted}).Draw(t, "fault")
		}
		return delivery{rapid.SampledFrom(told).Draw(t, "event"), kind}
	}), 1, 12).Draw(t, "deliveries")
}

// charge stands for the transaction of the charge, which is known when it is made.
const charge = "CH"

// named puts the charge of an order into the data of an event.
func (s *shop) named(id string, e event.Event) event.Event {
	if charges := s.provider.Charges(id); len(charges) > 0 {
		e.DataEncoded = bytes.ReplaceAll(e.Data(), []byte(`"`+charge+`"`), []byte(`"`+charges[0].ID+`"`))
	}
	return e
}

func drawFact(t *rapid.T, id string) function.Payload {
	amount := rapid.SampledFrom([]string{"10", "10.00", "20.5", "0", "5.13"}).Draw(t, "amount")
	switch rapid.SampledFrom([]string{"created", "created", "manual", "paid", "confirmed", "cancelled", "rejected"}).Draw(t, "fact") {
	case "created":
		return created(id, amount)
	case "manual":
		return manual(id, amount)
	case "paid":
		return paid(id, amount, rapid.SampledFrom([]string{"", "txn-1", "txn-2"}).Draw(t, "transaction"))
	case "confirmed":
		return paid(id, amount, charge)
	case "cancelled":
		return cancelledOrder(id)
	}
	return rejectedOrder(id)
}

// Whatever is delivered, how often, in which order and under which faults: once all of it was handled, the provider's
// books and what was told are the same story.
func TestBooksAndEventsTellTheSameStory(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		orders := 0
		rapid.Check(t, func(rt *rapid.T) {
			orders++
			id := fmt.Sprintf("order-%d", orders)
			deliveries := s.draw(rt, id)
			for _, d := range deliveries {
				judge(rt, s.handleUnder(d.fault, s.named(id, d.event)))
			}
			for _, d := range deliveries {
				if verdict := judge(rt, s.insist(s.named(id, d.event))); verdict != function.Done && verdict != function.Dropped {
					rt.Errorf("without a fault: %s", verdict)
				}
			}
			if err := s.insistWait(longEnough); err != nil {
				rt.Error(err)
			}
			s.requireStory(rt, id, s.told()[id], deliveries)
		})
	})
}

// judge returns the verdict of an error, which must not be a dead letter.
func judge(t rapid.TB, err error) function.Verdict {
	verdict := function.VerdictOf(err)
	if verdict == function.DeadLetter {
		t.Errorf("dead letter: %v", err)
	}
	return verdict
}

// requireStory compares what was told of an order with the books.
func (s *shop) requireStory(t rapid.TB, id string, told []event.Event, deliveries []delivery) {
	var (
		processed []fact.Processed
		failed    []fact.Failed
		refunded  []fact.Refunded
	)
	for _, e := range told {
		switch e.Type() {
		case fact.ProcessedType:
			processed = append(processed, data[fact.Processed](t, e))
		case fact.FailedType:
			failed = append(failed, data[fact.Failed](t, e))
		case fact.RefundedType:
			refunded = append(refunded, data[fact.Refunded](t, e))
			if len(processed) == 0 {
				t.Errorf("refunded before it was paid")
			}
		}
	}
	charges, refunds, a := s.provider.Charges(id), s.provider.Refunds(id), s.account(id)
	if len(charges) > 1 || len(refunds) > 1 || len(processed)+len(failed) > 1 || len(refunded) != len(refunds) {
		t.Fatalf("booked %+v and %+v, told %q", charges, refunds, lines(told))
	}
	for _, p := range processed {
		requireCharge(t, p, charges)
	}
	if booked := a.Charges + a.Declined; len(failed) != a.Declined || len(processed)+len(failed) < booked {
		t.Errorf("booked %+v, told %q", charges, lines(told))
	}
	for i, r := range refunded {
		if r.TransactionID != refunds[i].ID || !r.Amount.Equal(refunds[i].Amount) || !r.Amount.Equal(processed[0].Amount) {
			t.Errorf("booked %+v, told %+v", refunds[i], r)
		}
	}
	cancelled, rejected, followed := hasType(deliveries, order.CancelledType), hasType(deliveries, inventory.RejectedType), hasType(deliveries, order.PaidType)
	if (cancelled || rejected && !followed) && len(processed) > len(refunded) && !processed[0].Amount.IsZero() {
		t.Errorf("called off, and not given back: %q", lines(told))
	}
	if !cancelled && !rejected && len(refunded) > 0 {
		t.Errorf("given back, though nobody called it off: %q", lines(told))
	}
}

// requireCharge checks that what was told as paid is what was charged, or that somebody else took it.
func requireCharge(t rapid.TB, p fact.Processed, charges []paymentprovider.Entry) {
	if p.PaymentMethod != "card" {
		if len(charges) > 0 {
			t.Errorf("charged %+v, told %+v", charges[0], p)
		}
		return
	}
	if len(charges) == 0 || p.TransactionID != charges[0].ID || !p.Amount.Equal(charges[0].Amount) || p.Currency != charges[0].Currency {
		t.Errorf("charged %+v, told %+v", charges, p)
	}
}

func hasType(deliveries []delivery, eventType string) bool {
	return slices.ContainsFunc(deliveries, func(d delivery) bool { return d.event.Type() == eventType })
}

func data[T any](t rapid.TB, e event.Event) T {
	var v T
	if err := json.Unmarshal(e.Data(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Several processes that do not know of each other handle the events of many orders at once, each more than once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	eachWithin(t, "10s", func(t *testing.T, s *shop) { // hundreds of requests wait for each other
		const orders, times = 40, 3
		var handling sync.WaitGroup
		for n := range orders {
			id := fmt.Sprintf("order-%d", n)
			told := []event.Event{s.event(created(id, "99.90")), s.event(created(id, "99.90"))}
			if n%2 == 0 {
				told = append(told, s.event(cancelledOrder(id)), s.event(rejectedOrder(id)))
			}
			rand.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
			for _, e := range told {
				for range times {
					handling.Go(func() {
						if err := s.insist(e); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
		handling.Wait()
		story := s.told()
		price := money.MustParse("99.90")
		for n := range orders {
			id := fmt.Sprintf("order-%d", n)
			a, told := s.account(id), story[id]
			// An order that was called off first is not charged.
			if a.Charges > 1 || a.Refunds > 1 || len(told) != a.Charges+a.Refunds || a.Charges == 1 && !a.Charged.Equal(price) {
				t.Errorf("account %+v, told %q", a, lines(told))
			}
			if n%2 == 0 && a.Refunds != a.Charges || n%2 == 1 && (a.Charges != 1 || a.Refunds != 0) {
				t.Errorf("account %+v", a)
			}
		}
	})
}
