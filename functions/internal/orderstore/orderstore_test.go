package orderstore_test

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func parent() event.Event {
	e := event.New()
	e.SetID("charged-1")
	e.SetSource("/payment-service")
	e.SetType("dev.millrace.payment.processed.v1")
	e.SetExtension(function.CorrelationID, "flow-1")
	e.SetExtension(function.TraceParent, traceParent)
	return e
}

// attributes are those of an event, but for what each fact of the test has.
func attributes(t *testing.T, e event.Event) map[string]any {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.Source() != "/order-service" || e.Subject() != "12345" || !e.Time().Equal(noon) {
		t.Errorf("source, subject or time of %s", e)
	}
	all := map[string]any{"id": e.ID(), "type": e.Type()}
	maps.Copy(all, e.Extensions())
	return all
}

func TestFactsAreEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		created := orderstore.Cause{Key: "POST /orders 1", CorrelationID: "flow-1", CausationID: "req-1", At: noon}
		if _, err := s.Change(t.Context(), "12345", created, create, nil); err != nil {
			t.Fatal(err)
		}
		in := parent()
		o, err := s.Change(t.Context(), "12345", orderstore.Cause{Parent: &in, At: noon}, pay, nil)
		if err != nil || o.Version != 2 || o.Status() != order.Paid {
			t.Fatalf("%s in version %d, %v", o.Status(), o.Version, err)
		}
		loaded, err := s.Load(t.Context(), "12345")
		if diff := cmp.Diff(o, loaded); diff != "" || err != nil {
			t.Error(err, diff)
		}
		events := stored(t, s, "12345")
		want := []map[string]any{
			{
				"id": "29fd6084-1ccb-5902-ada3-0fbab91c04d9", "type": fact.CreatedType, "partitionkey": "12345",
				"aggregateversion": int32(1), "correlationid": "flow-1", "causationid": "req-1",
			},
			{
				"id": "a66ada79-cdbf-5ee3-9487-83fbcd4b88cf", "type": fact.PaidType, "partitionkey": "12345",
				"aggregateversion": int32(2), "correlationid": "flow-1", "causationid": "charged-1", "traceparent": traceParent,
			},
		}
		for i, e := range events {
			if diff := cmp.Diff(want[i], attributes(t, e)); diff != "" {
				t.Errorf("fact %d: %s", i, diff)
			}
		}
		out := published(t, s)
		if diff := cmp.Diff(ids(events), ids(out)); diff != "" {
			t.Errorf("published are others than are stored: %s", diff)
		}
		for i, e := range out {
			if diff := cmp.Diff(attributes(t, events[i]), attributes(t, e)); diff != "" || string(e.Data()) != string(events[i].Data()) {
				t.Errorf("published fact %d is another: %s", i, diff)
			}
		}
	})
}

// Facts belong to the trace of the attempt or the request that made them, which is a span of its own, or else to the event's.
func TestFactsAreTraced(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		own := function.Trace{Parent: strings.Replace(traceParent, "00f067aa0ba902b7", "b7ad6b7169203331", 1), State: "a=b"}
		in := parent()
		for id, tt := range map[string]struct {
			trace function.Trace
			cause orderstore.Cause
			want  function.Trace
		}{
			"attempt": {own, orderstore.Cause{Parent: &in}, own},
			"request": {own, orderstore.Cause{}, own},
			"nobody":  {function.Trace{}, orderstore.Cause{}, function.Trace{}},
		} {
			if _, err := s.Change(function.WithTrace(t.Context(), tt.trace), id, tt.cause, create, nil); err != nil {
				t.Fatal(err)
			}
			if got := function.TraceOf(stored(t, s, id)[0]); got != tt.want {
				t.Errorf("%s: %v, want %v", id, got, tt.want)
			}
		}
	})
}

// A flow that nobody named has the name that those who answer its first fact give it: the fact's id.
func TestAFlowHasAName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		e := stored(t, s, "1")[0]
		if got := e.Extensions()[function.CorrelationID]; got != e.ID() {
			t.Errorf("correlation id %v, want %s", got, e.ID())
		}
		if got, ok := e.Extensions()[function.CausationID]; ok {
			t.Errorf("caused by %v, want nothing", got)
		}
	})
}

// What was done is not done again, whoever else changed the order meanwhile and whatever version is named.
func TestAChangeIsDoneOnce(t *testing.T) {
	t.Parallel()
	in := parent()
	for name, cause := range map[string]orderstore.Cause{"event": {Parent: &in}, "request": {Key: "POST /orders/1/payment 7"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *orderstore.Store) {
				change(t, s, "1", create)
				if _, err := s.Change(t.Context(), "1", cause, pay, nil); err != nil {
					t.Fatal(err)
				}
				change(t, s, "1", cancel)
				o, err := s.Change(t.Context(), "1", cause, func(order.Order) ([]function.Payload, error) {
					t.Error("asked to decide again")
					return nil, nil
				}, &orderstore.ChangeOptions{Version: 1, Also: func(context.Context, *sql.Tx, order.Order) error {
					t.Error("asked to write again")
					return nil
				}})
				if err != nil || o.Version != 3 || o.Status() != order.Cancelled {
					t.Errorf("%s in version %d, %v", o.Status(), o.Version, err)
				}
				if got := len(published(t, s)); got != 3 {
					t.Errorf("%d events are published, want 3", got)
				}
			})
		})
	}
}

// Without a key each request is one of its own, and the rules decide.
func TestARequestWithoutAKeyIsAnother(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		o, err := s.Change(t.Context(), "1", orderstore.Cause{}, create, nil)
		var broken *order.RuleError
		if !errors.As(err, &broken) || broken.Rule != order.CreateOnce || o.Version != 1 {
			t.Errorf("version %d, %v", o.Version, err)
		}
	})
}

func TestTheSameKeyIsAnotherForAnotherOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		for _, id := range []string{"1", "2"} {
			if o, err := s.Change(t.Context(), id, orderstore.Cause{Key: "k"}, create, nil); err != nil || o.Version != 1 {
				t.Errorf("order %s: version %d, %v", id, o.Version, err)
			}
		}
	})
}

// An event asks for the change of one order. Another order cannot be changed in its name.
func TestAnEventOfAnotherOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		in := parent()
		var duplicate *eventstore.DuplicateError
		if _, err := s.Change(t.Context(), "1", orderstore.Cause{Parent: &in}, create, nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.Change(t.Context(), "2", orderstore.Cause{Parent: &in}, create, nil)
		if !errors.As(err, &duplicate) || !orderstore.Impossible(err) || function.VerdictOf(err) == function.Broken {
			t.Errorf("got %v", err)
		}
		if o, err := s.Load(t.Context(), "2"); err != nil || o.Version != 0 || len(published(t, s)) != 1 {
			t.Errorf("version %d, %v", o.Version, err)
		}
	})
}

func TestVersionOfTheCaller(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		change(t, s, "1", pay)
		stale := &orderstore.ChangeOptions{Version: 1}
		o, err := s.Change(t.Context(), "1", orderstore.Cause{}, cancel, stale)
		want := &eventstore.ConflictError{Stream: "order/1", Expected: eventstore.Exactly(1), Actual: 2}
		if diff := cmp.Diff(error(want), err); diff != "" || o.Status() != order.Paid {
			t.Errorf("%s: %s", o.Status(), diff)
		}
		if o, err := s.Change(t.Context(), "1", orderstore.Cause{}, cancel, &orderstore.ChangeOptions{Version: 2}); err != nil || o.Version != 3 {
			t.Errorf("version %d, %v", o.Version, err)
		}
	})
}

// Somebody changes the order between reading it and storing what was decided.
func TestDecidedAnew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		var saw []order.Status
		o, err := s.Change(t.Context(), "1", orderstore.Cause{}, func(o order.Order) ([]function.Payload, error) {
			if saw = append(saw, o.Status()); len(saw) == 1 {
				change(t, s, "1", pay)
			}
			return cancel(o)
		}, nil)
		if err != nil || o.Version != 3 || o.RefundDue().String() != "99.00" {
			t.Errorf("version %d, %s due, %v", o.Version, o.RefundDue(), err)
		}
		if diff := cmp.Diff([]order.Status{order.Pending, order.Paid}, saw); diff != "" {
			t.Error(diff)
		}
		if got, want := ids(published(t, s)), ids(stored(t, s, "1")); !cmp.Equal(got, want) {
			t.Errorf("published %v, stored %v", got, want)
		}
	})
}

// The same request is done, and more, between reading the order and storing what was decided: it is not done twice.
func TestDoneMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		request := orderstore.Cause{Key: "k"}
		noted := 0
		note := &orderstore.ChangeOptions{Also: func(context.Context, *sql.Tx, order.Order) error { noted++; return nil }}
		o, err := s.Change(t.Context(), "1", request, func(o order.Order) ([]function.Payload, error) {
			if _, err := s.Change(t.Context(), "1", request, pay, note); err != nil {
				t.Error(err)
			}
			change(t, s, "1", cancel)
			return pay(o)
		}, note)
		if err != nil || noted != 1 || o.Version != 3 || len(published(t, s)) != 3 {
			t.Errorf("noted %d times, version %d, %v", noted, o.Version, err)
		}
	})
}

// Somebody changes the order after the caller saw it: the decision is the caller's.
func TestConflictWithTheVersionOfTheCaller(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		decided := 0
		_, err := s.Change(t.Context(), "1", orderstore.Cause{}, func(o order.Order) ([]function.Payload, error) {
			decided++
			change(t, s, "1", pay)
			return cancel(o)
		}, &orderstore.ChangeOptions{Version: 1})
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) || conflict.Actual != 2 || decided != 1 {
			t.Errorf("decided %d times, %v", decided, err)
		}
	})
}

// Somebody is always faster: that ends.
func TestDecidedAnewWithinBounds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		decided := 0
		_, err := s.Change(t.Context(), "1", orderstore.Cause{}, func(o order.Order) ([]function.Payload, error) {
			decided++
			change(t, s, "1", func(o order.Order) ([]function.Payload, error) {
				return []function.Payload{fact.Paid{OrderID: o.ID, CustomerID: o.Created.CustomerID}}, nil
			})
			return cancel(o)
		}, nil)
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) || decided != 10 || !strings.Contains(err.Error(), "order 1") {
			t.Errorf("decided %d times, %v", decided, err)
		}
	})
}

func TestAlso(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		if _, err := s.DB().Write().ExecContext(t.Context(), "CREATE TABLE notes (version bigint)"); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		note := func(fail error) *orderstore.ChangeOptions {
			return &orderstore.ChangeOptions{Also: func(ctx context.Context, tx *sql.Tx, after order.Order) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO notes VALUES ($1)", after.Version)
				return errors.Join(err, fail)
			}}
		}
		o, err := s.Change(t.Context(), "1", orderstore.Cause{}, create, note(boom))
		if !errors.Is(err, boom) || function.VerdictOf(err) != function.Retry || o.Version != 0 {
			t.Errorf("version %d, %v", o.Version, err)
		}
		if o, err := s.Change(t.Context(), "1", orderstore.Cause{}, create, note(nil)); err != nil || o.Version != 1 {
			t.Errorf("version %d, %v", o.Version, err)
		}
		if _, err := s.Change(t.Context(), "1", orderstore.Cause{}, none, note(nil)); err != nil {
			t.Error(err)
		}
		var notes, sum int
		if err := s.DB().Read().QueryRowContext(t.Context(), "SELECT count(*), sum(version) FROM notes").Scan(&notes, &sum); err != nil {
			t.Fatal(err)
		}
		if events := published(t, s); notes != 1 || sum != 1 || len(events) != 1 {
			t.Errorf("%d notes, %d events, want one of each", notes, len(events))
		}
	})
}

func TestNothingToChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		boom := errors.New("boom")
		refuse := func(order.Order) ([]function.Payload, error) { return nil, boom }
		change(t, s, "1", create)
		o, err := s.Change(t.Context(), "1", orderstore.Cause{}, refuse, nil)
		if err != boom || o.Version != 1 { //nolint:errorlint // as it is
			t.Errorf("version %d, %v", o.Version, err)
		}
		if o := change(t, s, "1", none); o.Version != 1 {
			t.Errorf("version %d", o.Version)
		}
	})
}

func TestOrdersThatAreNot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		for name, id := range map[string]string{"unknown": "2", "too long": strings.Repeat("9", 256), "with a control character": "1\x00"} {
			if o, err := s.Load(t.Context(), id); err != nil || o.Status() != order.None || o.ID != id {
				t.Errorf("%s: %s, %v", name, o.Status(), err)
			}
		}
		var invalid *eventstore.InvalidError
		_, err := s.Change(t.Context(), strings.Repeat("9", 256), orderstore.Cause{}, create, nil)
		if !errors.As(err, &invalid) || !orderstore.Impossible(err) || function.VerdictOf(err) == function.Broken {
			t.Errorf("created with an impossible id: %v", err)
		}
	})
}

// A stream that this program cannot read is no failure of the database, and the error says where to look.
func TestADamagedFact(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		change(t, s, "1", create)
		_, err := s.Events().Append(t.Context(), eventstore.Write{Stream: "order/1", Expected: eventstore.Any, Events: []event.Event{parent()}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Load(t.Context(), "1")
		var unknown *order.UnknownTypeError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "stream order/1, version 2") || function.VerdictOf(err) != function.Retry {
			t.Errorf("got %v", err)
		}
	})
}

func TestWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *orderstore.Store) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, load := s.Load(t.Context(), "1")
		_, change := s.Change(t.Context(), "1", orderstore.Cause{}, create, nil)
		for _, err := range []error{load, change} {
			var unavailable *function.UnavailableError
			if !errors.As(err, &unavailable) || unavailable.Dependency != orderstore.Dependency {
				t.Errorf("got %v", err)
			}
		}
	})
}

// What was written before is there when the store is opened again.
func TestOpenAgain(t *testing.T) {
	t.Parallel()
	for kind, empty := range databases {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := empty(t)
			first := open(t, c)
			change(t, first, "1", create)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second := open(t, c)
			if o, err := second.Load(t.Context(), "1"); err != nil || o.Status() != order.Pending {
				t.Errorf("%s, %v", o.Status(), err)
			}
			if got := types(published(t, second)); !cmp.Equal(got, []string{fact.CreatedType}) {
				t.Errorf("published %v", got)
			}
		})
	}
}
