package inventory

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
)

// lives are what may happen to orders in a shop with 10 pieces of each product, and what is told of it.
var lives = map[string]struct {
	events func(t *testing.T) []event.Event
	want   []string
	// stock is what there is of prod-1 in the end.
	stock Stock
}{
	"paid": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "2 prod-1", "1 prod-2"), paid(t, "a")}
		},
		[]string{"a reserved 2 prod-1 and 1 prod-2"},
		Stock{"prod-1", 8, 2},
	},
	"not paid": {
		func(t *testing.T) []event.Event { return []event.Event{created(t, "a", "2 prod-1")} },
		nil,
		Stock{"prod-1", 10, 0},
	},
	"paid twice": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "2 prod-1"), paid(t, "a"), paid(t, "a")}
		},
		[]string{"a reserved 2 prod-1"},
		Stock{"prod-1", 8, 2},
	},
	"placed twice, first placed counts": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "2 prod-1"), created(t, "a", "3 prod-1", "1 prod-2"), paid(t, "a"), created(t, "a", "4 prod-1")}
		},
		[]string{"a reserved 2 prod-1"},
		Stock{"prod-1", 8, 2},
	},
	"a product in several lines": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "2 prod-1", "1 prod-0", "3 prod-1"), paid(t, "a")}
		},
		[]string{"a reserved 1 prod-0 and 5 prod-1"},
		Stock{"prod-1", 5, 5},
	},
	"a product in several lines, too many together": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "6 prod-1", "6 prod-1"), paid(t, "a")}
		},
		[]string{"a rejected, missing 2 prod-1, too few of prod-1", "prod-1 out of stock"},
		Stock{"prod-1", 10, 0},
	},
	"nothing asked for": {
		func(t *testing.T) []event.Event { return []event.Event{created(t, "a"), paid(t, "a"), called(t, "a")} },
		[]string{"a reserved ", "a released , not wanted"},
		Stock{"prod-1", 10, 0},
	},
	"the last piece": {
		func(t *testing.T) []event.Event { return []event.Event{created(t, "a", "10 prod-1"), paid(t, "a")} },
		[]string{"a reserved 10 prod-1", "prod-1 out of stock"},
		Stock{"prod-1", 0, 10},
	},
	"all or nothing": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "1 prod-1", "11 prod-2", "10 prod-3", "12 prod-4"), paid(t, "a")}
		},
		[]string{"a rejected, missing 1 prod-2 and 2 prod-4, too few of prod-2, prod-4", "prod-2 out of stock", "prod-4 out of stock"},
		Stock{"prod-1", 10, 0},
	},
	"unknown products": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "11 prod-1", "1 y", "2 x", "3 z", "4 w"), paid(t, "a")}
		},
		[]string{
			"a rejected, missing 1 prod-1 and 4 w and 2 x and 1 y and 3 z, no such product: w, x, y and 1 more; too few of prod-1",
			"prod-1 out of stock",
		},
		Stock{"prod-1", 10, 0},
	},
	"out of stock is told once": {
		func(t *testing.T) []event.Event {
			return []event.Event{
				created(t, "a", "10 prod-1"), paid(t, "a"), created(t, "b", "1 prod-1"), paid(t, "b"), created(t, "c", "2 prod-1"), paid(t, "c"),
			}
		},
		[]string{
			"a reserved 10 prod-1", "prod-1 out of stock",
			"b rejected, missing 1 prod-1, too few of prod-1", "c rejected, missing 2 prod-1, too few of prod-1",
		},
		Stock{"prod-1", 0, 10},
	},
	"too few is told once, and then that the last piece is gone": {
		func(t *testing.T) []event.Event {
			return []event.Event{
				created(t, "a", "11 prod-1"), paid(t, "a"), created(t, "b", "12 prod-1"), paid(t, "b"), created(t, "c", "10 prod-1"), paid(t, "c"),
			}
		},
		[]string{
			"a rejected, missing 1 prod-1, too few of prod-1", "prod-1 out of stock", "b rejected, missing 2 prod-1, too few of prod-1",
			"c reserved 10 prod-1", "prod-1 out of stock",
		},
		Stock{"prod-1", 0, 10},
	},
	"cancelled": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "2 prod-1"), paid(t, "a"), called(t, "a"), called(t, "a"), paid(t, "a")}
		},
		[]string{"a reserved 2 prod-1", "a released 2 prod-1, not wanted"},
		Stock{"prod-1", 10, 0},
	},
	"cancelled before it was paid": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "2 prod-1"), called(t, "a"), paid(t, "a")}
		},
		nil,
		Stock{"prod-1", 10, 0},
	},
	"cancelled before it was seen": {
		func(t *testing.T) []event.Event {
			return []event.Event{called(t, "a"), created(t, "a", "2 prod-1"), paid(t, "a")}
		},
		nil,
		Stock{"prod-1", 10, 0},
	},
	"cancelled when it was rejected": {
		func(t *testing.T) []event.Event {
			return []event.Event{created(t, "a", "11 prod-1"), paid(t, "a"), called(t, "a"), paid(t, "a")}
		},
		[]string{"a rejected, missing 1 prod-1, too few of prod-1", "prod-1 out of stock"},
		Stock{"prod-1", 10, 0},
	},
	"released pieces are there for others": {
		func(t *testing.T) []event.Event {
			return []event.Event{
				created(t, "a", "10 prod-1"), paid(t, "a"), called(t, "a"), created(t, "b", "9 prod-1"), paid(t, "b"), created(t, "c", "2 prod-1"), paid(t, "c"),
			}
		},
		[]string{
			"a reserved 10 prod-1", "prod-1 out of stock", "a released 10 prod-1, not wanted", "b reserved 9 prod-1",
			"c rejected, missing 1 prod-1, too few of prod-1",
		},
		Stock{"prod-1", 1, 9},
	},
	"what does not touch the goods": {
		func(t *testing.T) []event.Event {
			return []event.Event{
				created(t, "a", "2 prod-1"), paid(t, "a"),
				received(t, "/payment-service", payment.Failed{OrderID: "a"}),
				received(t, "/payment-service", payment.Refunded{OrderID: "a", Amount: money.MustParse("10")}),
				received(t, "/order-service", order.Shipped{OrderID: "a", CustomerID: "ann"}),
				received(t, "/inventory-service", fact.Released{OrderID: "a"}),
			}
		},
		[]string{"a reserved 2 prod-1"},
		Stock{"prod-1", 8, 2},
	},
}

// Whatever is delivered again, at once or when more has happened, changes nothing and tells nothing.
func TestLivesOfOrders(t *testing.T) {
	t.Parallel()
	for name, life := range lives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, c database.Config) {
				s := opened(t, c, 10)
				events, told := life.events(t), []string(nil)
				for i, e := range events {
					s.deliver(t, e)
					s.deliver(t, e)
					told = append(told, s.told(t)...)
					for _, earlier := range events[:i] {
						s.deliver(t, earlier)
					}
					if again := s.told(t); again != nil {
						t.Errorf("told when events up to %d came again: %q", i, again)
					}
				}
				if diff := cmp.Diff(life.want, told); diff != "" {
					t.Error(diff)
				}
				if got := s.stock(t, "prod-1"); got != life.stock {
					t.Errorf("stock is %+v, want %+v", got, life.stock)
				}
			})
		})
	}
}

// The payment of an order that was not seen is counted, once, and remembered: its creation may still come.
func TestThePaymentOfAnUnseenOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		for _, id := range []string{"a", "b", "c"} {
			early := paid(t, id)
			if _, err := s.Handle(t.Context(), early); function.VerdictOf(err) != function.Dropped {
				t.Errorf("error %v", err)
			}
			s.deliver(t, early)
		}
		if told := s.told(t); told != nil {
			t.Errorf("told %q", told)
		}
		s.deliver(t, called(t, "c"))
		for _, placed := range []event.Event{created(t, "a", "10 prod-1"), created(t, "b", "1 prod-1"), created(t, "c", "1 prod-2")} {
			s.deliver(t, placed)
			s.deliver(t, placed)
		}
		want := []string{"a reserved 10 prod-1", "b rejected, missing 1 prod-1, too few of prod-1", "prod-1 out of stock"}
		if diff := cmp.Diff(want, s.told(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// What no database could store, or no event tell of, is dead-lettered.
func TestWhatNobodyCanStore(t *testing.T) {
	t.Parallel()
	many := make([]order.Item, maxProducts+1)
	for i := range many {
		many[i] = order.Item{ProductID: strings.Repeat("p", i%250+1) + string(rune('a'+i/250)), Quantity: 1}
	}
	for name, test := range map[string]struct {
		order string
		items []order.Item
		want  string
	}{
		"order":    {"a\x00b", nil, `"a\x00b"`},
		"product":  {"a", []order.Item{{ProductID: "p\x00", Quantity: 1}}, `"p\x00"`},
		"products": {"a", many, "more than 2000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, c database.Config) {
				s := opened(t, c, 10)
				placed := order.Created{OrderID: test.order, CustomerID: "ann", Amount: money.MustParse("1"), Items: test.items}
				_, err := s.Handle(t.Context(), received(t, "/order-service", placed))
				if function.VerdictOf(err) != function.DeadLetter || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// Lines that add up to more than events can tell of are rejected, whatever there is.
func TestMorePiecesThanAnOrderGets(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 0)
		for range 3 {
			if _, err := s.Restock(t.Context(), "prod-1", maxPieces); err != nil {
				t.Fatal(err)
			}
		}
		s.deliver(t, created(t, "a", "1000000000 prod-1", "1 prod-1"))
		s.deliver(t, paid(t, "a"))
		s.deliver(t, created(t, "b", "1000000000 prod-1", "1000000000 prod-2", "1000000000 prod-2"))
		s.deliver(t, paid(t, "b"))
		s.deliver(t, created(t, "c", "1000000000 prod-1"))
		s.deliver(t, paid(t, "c"))
		want := []string{
			"a rejected, missing 1 prod-1, too few of prod-1",
			"b rejected, missing 1000000000 prod-2, too few of prod-2",
			"c reserved 1000000000 prod-1",
			"prod-2 out of stock",
		}
		if diff := cmp.Diff(want, s.told(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// An event that leads to one that the outbox does not take is dead-lettered, and changes nothing.
func TestWhatNobodyCanPublish(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		s.deliver(t, created(t, "a", "1 prod-1"))
		e := paid(t, "a")
		e.SetExtension(function.CorrelationID, strings.Repeat("x", outbox.MaxEvent))
		if _, err := s.Handle(t.Context(), e); function.VerdictOf(err) != function.DeadLetter {
			t.Errorf("error %v", err)
		}
		if got := s.stock(t, "prod-1"); got != (Stock{"prod-1", 10, 0}) {
			t.Errorf("stock is %+v", got)
		}
	})
}

// What fits the limits is stored, however long ids are in bytes.
func TestTheLargestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		id := strings.Repeat("\U0001F4E6", 256)
		placed := order.Created{OrderID: id, CustomerID: "ann", Amount: money.MustParse("1")}
		for i := range maxProducts {
			productID := strings.Repeat("\U0001F4E6", 90) + string(rune('\U0001F300'+i%50)) + string(rune('\U0001F300'+i/50))
			if i == 0 {
				productID = id
			}
			if _, err := s.Restock(t.Context(), productID, maxPieces); err != nil {
				t.Fatal(err)
			}
			placed.Items = append(placed.Items, order.Item{ProductID: productID, Quantity: maxPieces})
		}
		s.deliver(t, received(t, "/order-service", placed))
		s.deliver(t, paid(t, id))
		off := order.Cancelled{OrderID: id, CustomerID: "ann", Reason: strings.Repeat("ä", 1<<18)}
		s.deliver(t, received(t, "/order-service", off))
		all := s.published(t)
		if len(all) != maxProducts+2 {
			t.Fatalf("%d events", len(all))
		}
		for _, p := range all {
			_ = p.words(t)
		}
	})
}

// What is told belongs to the trace of the attempt, or else to that of the event; and the relay is woken.
func TestTheTraceOfWhatIsTold(t *testing.T) {
	t.Parallel()
	const event, attempt = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"
	for name, test := range map[string]struct {
		attempt function.Trace
		want    string
	}{
		"traced":   {function.NewTrace(attempt, ""), attempt},
		"untraced": {function.Trace{}, event},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, c database.Config) {
				s := opened(t, c, 1)
				s.deliver(t, created(t, "a", "1 prod-1"))
				e := paid(t, "a")
				e.SetExtension(function.TraceParent, event)
				if _, err := s.Handle(function.WithTrace(t.Context(), test.attempt), e); err != nil {
					t.Fatal(err)
				}
				select {
				case <-s.outbox.Chore().Wake:
				default:
					t.Error("nobody woke the relay")
				}
				for _, p := range s.published(t) {
					if got := function.TraceOf(p.event).Parent; got != test.want {
						t.Errorf("%s has the trace %q, want %q", p.event.Type(), got, test.want)
					}
				}
			})
		})
	}
}

// A database that does not answer is no failure of the event.
// The shop's other events about orders are on the topic, too.
func TestWhatPassesBy(t *testing.T) {
	t.Parallel()
	h := handler(nil)
	if n := len(h.Types()); n != 13 {
		t.Errorf("%d types are accepted, want the 13 of the topic: %v", n, h.Types())
	}
	for _, p := range []function.Payload{
		order.Shipped{OrderID: "1", CustomerID: "c"}, payment.Refunded{OrderID: "1"}, fact.Rejected{OrderID: "1"},
	} {
		e, err := function.NewEvent(p)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := h.Handle(t.Context(), e); out != nil || !errors.Is(err, function.ErrPassedBy) {
			t.Errorf("%s: got %v, %v", p.EventType(), out, err)
		}
	}
}

func TestADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Handle(t.Context(), created(t, "a", "1 prod-1"))
		if function.VerdictOf(err) != function.Broken || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("error %v", err)
		}
	})
}

// One that does not answer in time is away, too: no attempt is spent. A process that has to leave blames nobody.
func TestADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		s.deliver(t, created(t, "a", "1 prod-1"))
		tx, err := s.db.Write().BeginTx(t.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(t.Context(), "UPDATE inventory_stock SET told = told")
		}
		if err != nil {
			t.Fatal(err)
		}
		slow, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		e := paid(t, "a")
		if _, err := s.Handle(slow, e); function.VerdictOf(err) != function.Broken {
			t.Errorf("too slow: error %v", err)
		}
		leaving, leave := context.WithCancel(t.Context())
		leave()
		if _, err := s.Handle(leaving, e); function.VerdictOf(err) != function.Retry {
			t.Errorf("leaving: error %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		s.deliver(t, e)
		if diff := cmp.Diff([]string{"a reserved 1 prod-1"}, s.told(t)); diff != "" {
			t.Error(diff)
		}
	})
}
