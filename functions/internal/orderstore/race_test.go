package orderstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

// rounds is how often two people meet, where it matters most.
func rounds() int {
	if testing.Short() {
		return 100
	}
	return 1000
}

// meet has two people pay and cancel an order at the same moment, and returns what each was told.
func meet(t *testing.T, s *orderstore.Store, id string, o *orderstore.ChangeOptions) (paid, cancelled error) {
	t.Helper()
	change(t, s, id, create)
	begin := make(chan struct{})
	var people sync.WaitGroup
	for result, decide := range map[*error]orderstore.Decide{&paid: pay, &cancelled: cancel} {
		people.Go(func() {
			<-begin
			_, *result = s.Change(t.Context(), id, orderstore.Cause{}, decide, o)
		})
	}
	close(begin)
	people.Wait()
	return paid, cancelled
}

// Two people pay and cancel the same order at the same moment: both saw version 1, so one wins and the other is told.
func TestTwoPeopleWhoSawTheSame(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		won := map[string]int{}
		for round := range rounds() / 5 {
			id := fmt.Sprint(round)
			paid, cancelled := meet(t, s, id, &orderstore.ChangeOptions{Version: 1})
			second, lost, winner := fact.PaidType, cancelled, paid
			if paid != nil {
				second, lost, winner = fact.CancelledType, paid, cancelled
			}
			var conflict *eventstore.ConflictError
			if winner != nil || !errors.As(lost, &conflict) {
				t.Fatalf("round %d: pay: %v, cancel: %v", round, paid, cancelled)
			}
			if got := types(stored(t, s, id)); !cmp.Equal(got, []string{fact.CreatedType, second}) {
				t.Fatalf("round %d: %v", round, got)
			}
			won[second]++
		}
		t.Logf("%v", won)
		tellOneStory(t, s, rounds()/5)
	})
}

// The same, where each decides on the order as it stands: whoever pays first can still cancel, and gets the money back.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		stories := map[string]int{}
		for round := range rounds() {
			id := fmt.Sprint(round)
			paid, cancelled := meet(t, s, id, nil)
			o, err := s.Load(t.Context(), id)
			if err != nil || cancelled != nil || o.Status() != order.Cancelled {
				t.Fatalf("round %d: %s, pay: %v, cancel: %v, %v", round, o.Status(), paid, cancelled, err)
			}
			story, want, due := "paid, then cancelled", []string{fact.CreatedType, fact.PaidType, fact.CancelledType}, "99.00"
			var refused *order.RuleError
			if errors.As(paid, &refused) && refused.Rule == order.PayPending && refused.Status == order.Cancelled {
				story, want, due, paid = "cancelled", []string{fact.CreatedType, fact.CancelledType}, "0", nil
			}
			if got := types(stored(t, s, id)); paid != nil || !cmp.Equal(got, want) || o.RefundDue().String() != due {
				t.Fatalf("round %d: %v, %s due, pay: %v", round, got, o.RefundDue(), paid)
			}
			stories[story]++
		}
		t.Logf("%v", stories)
		tellOneStory(t, s, rounds())
	})
}

// tellOneStory checks that what is published of each of so many orders is what is stored, in its order.
func tellOneStory(t *testing.T, s *orderstore.Store, orders int) {
	t.Helper()
	told := map[string][]string{}
	for _, e := range published(t, s) {
		told[e.Subject()] = append(told[e.Subject()], e.ID())
	}
	for id, got := range told {
		if diff := cmp.Diff(ids(stored(t, s, id)), got); diff != "" {
			t.Errorf("order %s is told otherwise than it is stored: %s", id, diff)
		}
	}
	if len(told) != orders {
		t.Errorf("%d orders are told of, want %d", len(told), orders)
	}
}

// A request that arrives several times at once is done once, and each of its senders is told so, although each time it was
// decided at another moment.
func TestTheSameRequestAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		for round := range rounds() / 10 {
			id := fmt.Sprint(round)
			change(t, s, id, create)
			var senders sync.WaitGroup
			for sender := range 4 {
				senders.Go(func() {
					own := payment
					own.At = noon.Add(time.Duration(sender) * time.Second)
					o, err := s.Change(t.Context(), id, orderstore.Cause{Key: "pay"}, func(o order.Order) ([]function.Payload, error) {
						return o.Pay(own)
					}, nil)
					if err != nil || o.Status() != order.Paid || o.Version != 2 {
						t.Errorf("%s in version %d, %v", o.Status(), o.Version, err)
					}
				})
			}
			senders.Wait()
		}
		if got := len(published(t, s)); got != rounds()/10*2 {
			t.Errorf("%d events are published, want %d", got, rounds()/10*2)
		}
	})
}
