package orderapi_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// outcome is what two people got who paid and cancelled the same order.
type outcome struct{ pay, cancel answer }

func (s *shop) payAndCancel(t *testing.T, id string) outcome {
	got := atOnce(2, func(i int) answer {
		if i == 0 {
			return s.ask(t, "POST", "/orders/"+id+"/payment", paid)
		}
		return s.ask(t, "POST", "/orders/"+id+"/cancellation", "")
	})
	return outcome{got[0], got[1]}
}

// Two people pay and cancel the same order at the same moment, a thousand times: both have seen it pending before either
// changed it. One wins, the other is told that somebody else was there, and the events tell the winner's story, once.
func TestPayAndCancelAtTheSameMoment(t *testing.T) {
	t.Parallel()
	e := onPostgres(t)
	e["DATABASE_CONNECTIONS"] = "64"
	s := start(t, e)
	store := e.open(t)
	rounds, orders := 40, 25
	if testing.Short() || slowed {
		rounds = 4
	}
	wins := map[string]int{}
	want := map[string][]string{}
	for range rounds {
		for id, got := range s.meet(t, store, orders) {
			winner, told, loser := "payment", order.PaidType, got.cancel
			if got.cancel.status == http.StatusOK {
				winner, told, loser = "cancellation", order.CancelledType, got.pay
			}
			if got.pay.status+got.cancel.status != http.StatusOK+http.StatusConflict {
				t.Fatalf("order %s: paid %d %s, cancelled %d %s", id, got.pay.status, got.pay.body, got.cancel.status, got.cancel.body)
			}
			requireProblem(t, loser, "changed-meanwhile", id)
			wins[winner]++
			want[id] = []string{order.CreatedType, told}
		}
	}
	t.Logf("of %d orders: %v", len(want), wins)
	if len(want) != rounds*orders || wins["payment"]*wins["cancellation"] == 0 {
		t.Errorf("of %d orders, some were to be paid and some cancelled: %v", rounds*orders, wins)
	}
	requireStories(t, s, store, want)
}

// meet has each of some orders paid and cancelled at the same moment: both requests have read the order before a transaction that
// keeps others from changing it lets them go on.
func (s *shop) meet(t *testing.T, store *orderstore.Store, orders int) map[string]outcome {
	t.Helper()
	var closed []eventstore.Write
	got := map[string]outcome{}
	for i := range orders {
		id := s.place(t)
		got[id] = outcome{}
		closed = append(closed, eventstore.Write{
			Stream: orderstore.Stream(id), Expected: eventstore.Exactly(1), Events: []event.Event{cloudeventstest.OrderCreated(t, i)},
		})
	}
	var mu sync.Mutex
	var ended sync.WaitGroup
	letGo := errors.New("let go")
	err := store.DB().Transact(t.Context(), func(tx *sql.Tx) error {
		if _, err := store.Events().In(tx).Append(t.Context(), closed...); err != nil {
			return err
		}
		for id := range got {
			ended.Go(func() {
				o := s.payAndCancel(t, id)
				mu.Lock()
				defer mu.Unlock()
				got[id] = o
			})
		}
		runtimetest.Eventually(t, "all requests wait", func() bool { return waiting(t, store) == 2*orders })
		return letGo
	})
	ended.Wait()
	if !errors.Is(err, letGo) {
		t.Fatal(err)
	}
	return got
}

// waiting returns how many connections to the database wait for others to end their transactions.
func waiting(t *testing.T, store *orderstore.Store) (n int) {
	t.Helper()
	const query = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	if err := store.DB().Read().QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

// requireStories checks that the facts of each order are those that are wanted, in the store and as they are published, and
// that the order is shown so.
func requireStories(t *testing.T, s *shop, store *orderstore.Store, want map[string][]string) {
	t.Helper()
	statuses := map[string]string{order.PaidType: "paid", order.CancelledType: "cancelled"}
	published := s.publish(t, store)
	for id, types := range want {
		var stored []string
		for _, told := range history(t, store, id) {
			stored = append(stored, told.Type())
		}
		if !slices.Equal(stored, types) || !slices.Equal(published[id], types) {
			t.Errorf("order %s: stored %q, published %q, want %q", id, stored, published[id], types)
		}
		if got := s.ask(t, "GET", "/orders/"+id, "").view(t); got.Status != statuses[types[len(types)-1]] || got.Version != len(types) {
			t.Errorf("order %s is shown as %+v after %q", id, got, types)
		}
	}
}

// publish has the service publish what is waiting, and returns the types of the events of each order.
func (s *shop) publish(t *testing.T, store *orderstore.Store) map[string][]string {
	t.Helper()
	published := map[string][]string{}
	relay := slices.IndexFunc(s.chores(), func(c function.Chore) bool { return c.Name == "outbox" })
	publish := func(_ context.Context, topic string, events ...event.Event) []error {
		for _, e := range events {
			id := fmt.Sprint(e.Extensions()[function.PartitionKey])
			published[id] = append(published[id], e.Type())
		}
		if topic != order.Topic {
			t.Errorf("published to %s", topic)
		}
		return nil
	}
	for waiting := int64(1); waiting > 0; {
		if err := s.chores()[relay].Run(t.Context(), publish); err != nil {
			t.Fatal(err)
		}
		stats, err := store.Outbox().Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting = stats.Waiting
	}
	return published
}

// Whoever comes a moment later meets the rules of the order as it is then: who paid it first may see it cancelled, with a refund.
// Never do two stories come of it.
func TestPayAndCancelOneAfterTheOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		want := map[string][]string{}
		for range 100 {
			id := s.place(t)
			story := []string{order.CreatedType}
			got := s.payAndCancel(t, id)
			if got.pay.status == http.StatusOK {
				story = append(story, order.PaidType)
			}
			if got.cancel.status == http.StatusOK {
				story = append(story, order.CancelledType)
			}
			if len(story) == 1 {
				t.Errorf("order %s: nobody won: %+v", id, got)
			}
			want[id] = story
		}
		requireStories(t, s, s.environment.open(t), want)
	})
}
