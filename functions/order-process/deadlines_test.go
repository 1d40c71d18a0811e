package orderprocess_test

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	orderprocess "github.com/millrace/millrace/functions/order-process"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

// begin has orders wait for something: order-process has heard of all that happened to them.
func (s *shop) begin(t *testing.T, names ...string) (id string) {
	t.Helper()
	id = s.next()
	for _, name := range names {
		s.do(t, name, id)
		s.catchUp(t, id)
	}
	return id
}

// catchUp has order-process handle what it has not handled of an order's topic, and what follows from it.
func (s *shop) catchUp(t fataler, id string) {
	t.Helper()
	for s.relay(t); s.handled[id] < len(s.topics[id]); s.relay(t) {
		s.handled[id]++
		s.deliver(t, s.topics[id][s.handled[id]-1])
	}
}

func TestReasonsOfDeadlines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps    []string
		variable string
		// given is the variable, want the reason and how long it says that the order waited.
		given, want, patience string
	}{
		"payment":          {[]string{"create"}, "ORDER_PAYMENT_TIMEOUT", "", "payment did not answer within 15m", "15m"},
		"payment by hand":  {[]string{"create by hand"}, "ORDER_MANUAL_PAYMENT_TIMEOUT", "", "nobody paid within 24h", "24h"},
		"reservation":      {[]string{"create", "charged"}, "ORDER_STOCK_TIMEOUT", "", "stock did not answer within 15m", "15m"},
		"another time":     {[]string{"create"}, "ORDER_PAYMENT_TIMEOUT", "90m", "payment did not answer within 1h30m", "90m"},
		"by hand, shorter": {[]string{"create by hand"}, "ORDER_MANUAL_PAYMENT_TIMEOUT", "10s", "nobody paid within 10s", "10s"},
		"odd":              {[]string{"create", "charged"}, "ORDER_STOCK_TIMEOUT", "3605s", "stock did not answer within 1h0m5s", "3605s"},
		"a whole hour":     {[]string{"create", "charged"}, "ORDER_STOCK_TIMEOUT", "60m", "stock did not answer within 1h", "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := environments["sqlite"](t)
			if tt.given != "" {
				environment[tt.variable] = tt.given
			}
			patience, err := time.ParseDuration(tt.patience)
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, environment)
			id := s.begin(t, tt.steps...)
			s.clock.move(patience - time.Millisecond)
			s.expire(t)
			if got := s.order(t, id).Status(); got == order.Cancelled {
				t.Error("cancelled too early")
			}
			s.clock.move(time.Millisecond)
			s.expire(t)
			cancelled := s.order(t, id).Cancelled
			if cancelled.Reason != tt.want || !cancelled.CancelledAt.Equal(s.clock.now()) || s.waits(t, id) != "" {
				t.Errorf("cancelled at %s: %q, want %q", cancelled.CancelledAt, cancelled.Reason, tt.want)
			}
		})
	}
}

// What ends an order belongs to its flow, and is caused by what the order waited after.
func TestDeadlinesAreCaused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		id := s.begin(t, "create", "charged", "15 minutes")
		facts := s.stored(t, id)
		paid, cancelled := facts[1], facts[2]
		want := map[string]any{
			function.CorrelationID: "flow-" + id, function.CausationID: paid.ID(), function.PartitionKey: id, "aggregateversion": int32(3),
		}
		if diff := cmp.Diff(want, cancelled.Extensions()); diff != "" {
			t.Error(diff)
		}
		if got := s.order(t, id).RefundDue(); !got.Equal(total) {
			t.Errorf("%s to be given back, want %s", got, total)
		}
	})
}

// A fact that names no flow is the beginning of one, as everywhere.
func TestDeadlinesOfNamelessFlows(t *testing.T) {
	t.Parallel()
	s := open(t, environments["sqlite"](t))
	id := s.next()
	s.do(t, "create", id)
	s.relay(t)
	created := s.topics[id][0]
	created.SetExtension(function.CorrelationID, nil)
	s.deliver(t, created)
	s.clock.move(15 * time.Minute)
	s.expire(t)
	if got := s.stored(t, id)[1].Extensions()[function.CorrelationID]; got != created.ID() {
		t.Errorf("correlation id %v, want %s", got, created.ID())
	}
}

// Several processes that find the same orders cancel each once.
func TestDeadlinesOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		const orders = 250 // more than two pages
		for range orders {
			s.begin(t, "create")
		}
		s.clock.move(15 * time.Minute)
		var processes sync.WaitGroup
		for _, process := range []function.Handler{s.process, s.start(t), s.start(t)} {
			processes.Go(func() {
				if err := chore(process)(t.Context(), nil); err != nil {
					t.Error(err)
				}
			})
		}
		processes.Wait()
		s.relay(t)
		for id, topic := range s.topics {
			if got := words(topic); got != "created cancelled" || s.waits(t, id) != "" {
				t.Errorf("%s: %s, waits for %q", id, got, s.waits(t, id))
			}
		}
	})
}

// The answer is stored while the chore is about to cancel: whoever comes first, the other gives way.
func TestAnswersAndDeadlinesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		stories := map[string]int{}
		for range 100 {
			id := s.begin(t, "create")
			s.do(t, "charged", id)
			charged := s.topics[id][len(s.topics[id])-1]
			s.clock.move(15 * time.Minute)
			var both sync.WaitGroup
			both.Go(func() { s.deliver(t, charged) })
			both.Go(func() { s.expire(t) })
			both.Wait()
			stories[words(s.stored(t, id))]++
		}
		if stories["created paid"]+stories["created cancelled"] != 100 {
			t.Errorf("got %v", stories)
		}
		t.Log(stories)
	})
}

// A process that was paused handles an event beside its successor: it has one effect.
func TestAnEventInTwoProcesses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		processes := []function.Handler{s.process, s.start(t)}
		for range 50 {
			id := s.begin(t, "create")
			s.do(t, "charged", id)
			topic := s.topics[id]
			var both sync.WaitGroup
			for _, process := range processes {
				both.Go(func() {
					if out, err := process.Handle(t.Context(), topic[len(topic)-1]); err != nil || len(out) > 0 {
						t.Errorf("%d events, %v", len(out), err)
					}
				})
			}
			both.Wait()
			s.relay(t)
			if got := words(s.topics[id]); got != "created payment.processed paid" || words(s.stored(t, id)) != "created paid" {
				t.Errorf("published %s, stored %s", got, words(s.stored(t, id)))
			}
		}
	})
}

// All processes were down when an order was due, so an answer may lie in the topic: it is heard first. But an order gets
// its time twice, not for ever.
func TestNobodyLooked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		answered, silent := s.begin(t, "create"), s.begin(t, "create")
		s.do(t, "charged", answered)
		s.clock.move(3 * time.Hour)
		s.expire(t)
		s.catchUp(t, answered)
		if got := s.order(t, answered).Status(); got != order.Paid {
			t.Errorf("the order whose answer was in the topic is %s", got)
		}
		s.clock.move(14 * time.Minute)
		s.expire(t)
		if got := s.order(t, silent).Status(); got != order.Pending {
			t.Errorf("the order that got its time once more is %s", got)
		}
		s.clock.move(3 * time.Hour)
		s.expire(t)
		if got := s.order(t, silent).Status(); got != order.Cancelled {
			t.Errorf("the order that got its time twice is %s", got)
		}
		// Each step has its own second time.
		if got := s.order(t, answered).Status(); got != order.Paid || s.waits(t, answered) != "reservation" {
			t.Errorf("the order that waits for the next step is %s", got)
		}
	})
}

// On a schedule a run comes a little later than the minute, or not at all: that is no outage.
func TestRunsThatAreFarApart(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{61 * time.Second, 2 * time.Minute, 4 * time.Minute} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, environments["sqlite"](t))
			id := s.begin(t, "create")
			s.clock.move(15*time.Minute - time.Millisecond)
			s.expire(t)
			s.clock.move(pause)
			s.expire(t)
			if got := s.order(t, id).Status(); got != order.Cancelled {
				t.Errorf("the order is %s", got)
			}
		})
	}
}

// An order went on while what tells of it is still in the topic: a deadline that is no longer its own does not end it.
func TestADeadlineThatIsOver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		paid := s.begin(t, "create by hand")
		s.do(t, "pay by hand", paid)
		shipped := s.begin(t, "create", "charged")
		s.do(t, "ship", shipped)
		s.clock.move(24 * time.Hour)
		s.expire(t) // the second one is found too late, and looked at again
		s.clock.move(15*time.Minute - time.Second)
		s.expire(t)
		if got, waits := s.order(t, paid).Status(), s.waits(t, paid); got != order.Paid || waits != "reservation" {
			t.Errorf("the paid order is %s and waits for %q", got, waits)
		}
		s.clock.move(time.Second)
		s.expire(t)
		if got, waits := s.order(t, shipped).Status(), s.waits(t, shipped); got != order.Shipped || waits != "" {
			t.Errorf("the shipped order is %s and waits for %q", got, waits)
		}
	})
}

// The facts of an order may be heard again at any time. A step that began keeps its time.
func TestRedeliveryDoesNotExtend(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		id := s.begin(t, "create", "14 minutes")
		s.deliver(t, s.topics[id][0])
		s.clock.move(time.Minute)
		s.expire(t)
		if got := s.order(t, id).Status(); got != order.Cancelled {
			t.Errorf("the order is %s", got)
		}
	})
}

// A process that is slow has read an order before its next step began: it does not put the order back, which would give the step
// its time anew.
func TestASlowProcessDoesNotExtend(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		id := s.begin(t, "create")
		pending := s.order(t, id)
		s.do(t, "charged", id)
		s.catchUp(t, id)
		s.clock.move(14 * time.Minute)
		if err := orderprocess.Keep(t.Context(), s.process, pending); err != nil {
			t.Fatal(err)
		}
		if got := s.waits(t, id); got != "reservation" {
			t.Errorf("the order waits for %q", got)
		}
		topic := s.topics[id]
		s.deliver(t, topic[len(topic)-1])
		s.clock.move(time.Minute)
		s.expire(t)
		if got := s.order(t, id).Status(); got != order.Cancelled {
			t.Errorf("the order is %s", got)
		}
	})
}

// An order that cannot be cancelled, because nobody can read it, is told of and holds up no other.
func TestADamagedOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		damaged, sound := s.begin(t, "create"), s.begin(t, "create")
		stranger := event.New()
		stranger.SetID("1")
		stranger.SetSource("/somebody")
		stranger.SetType("com.example.unknown")
		write := eventstore.Write{Stream: orderstore.Stream(damaged), Expected: eventstore.Any, Events: []event.Event{stranger}}
		if _, err := s.api.Events().Append(t.Context(), write); err != nil {
			t.Fatal(err)
		}
		s.clock.move(15 * time.Minute)
		err := chore(s.process)(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), damaged) || !strings.Contains(err.Error(), "1 order") {
			t.Errorf("got %v, want an error that names %s", err, damaged)
		}
		if got := s.order(t, sound).Status(); got != order.Cancelled {
			t.Errorf("the other order is %s", got)
		}
	})
}

func TestDeadlinesWithoutADatabase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		process := s.start(t)
		if err := process.(io.Closer).Close(); err != nil {
			t.Fatal(err)
		}
		if err := chore(process)(t.Context(), nil); err == nil {
			t.Error("the chore succeeds without its database")
		}
	})
}

// Facts of orders that others put on the topic are passed by, and leave nothing behind.
func TestForeignOrders(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		for i, told := range []function.Payload{
			fact.Created{OrderID: "strange-1", CustomerID: "c", Amount: total},
			fact.Paid{OrderID: "strange-1", CustomerID: "c"},
			fact.Cancelled{OrderID: strings.Repeat("9", 256), CustomerID: "c"},
			fact.Shipped{OrderID: "a\x00b", CustomerID: "c"},
		} {
			if got := s.deliver(t, s.tell(t, told)); got != "the order is none of this store" {
				t.Errorf("fact %d: dropped because %q", i, got)
			}
		}
		var rows int
		if err := s.api.DB().Read().QueryRowContext(t.Context(), "SELECT count(*) FROM order_deadlines").Scan(&rows); err != nil || rows > 0 {
			t.Errorf("%d deadlines, %v", rows, err)
		}
	})
}

// The process relays what waits, and ends what waits too long.
func TestChores(t *testing.T) {
	t.Parallel()
	s := open(t, environments["sqlite"](t))
	topics := map[string]string{}
	for _, c := range s.process.(function.Worker).Chores() {
		if _, err := c.Complete(); err != nil {
			t.Error(err)
		}
		topics[c.Name] = fmt.Sprint(c.Topics)
	}
	want := map[string]string{"outbox": fmt.Sprint([]string{orderprocess.Spec.Topic}), "order-deadlines": "[]"}
	if !maps.Equal(topics, want) {
		t.Errorf("chores and their topics: %v, want %v", topics, want)
	}
}
