package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
)

// dependency names the database where it cannot be used.
const dependency = "inventory-database"

// identity is what the events of the outbox are stamped with.
var identity = function.Spec{Name: name, Source: source}

// created notes what the order asks for, and reserves it where the payment was seen before.
func (s *Store) created(ctx context.Context, e event.Event, placed order.Created) ([]event.Event, error) {
	asked, err := addUp(placed.Items)
	if err != nil {
		return nil, function.Permanent(fmt.Errorf("order %q: %w", placed.OrderID, err))
	}
	return nil, s.transact(ctx, placed.OrderID, func(t transaction) error {
		now, err := t.step(ctx, stepCreated)
		if err != nil || now == "" {
			return err
		}
		if err := t.ask(ctx, asked); err != nil || now != reserved {
			return err
		}
		return s.settle(ctx, t, e)
	})
}

// paid reserves what the order asks for.
func (s *Store) paid(ctx context.Context, e event.Event, paid payment.Processed) ([]event.Event, error) {
	var now state
	err := s.transact(ctx, paid.OrderID, func(t transaction) (err error) {
		now, err = t.step(ctx, stepPaid)
		if err != nil || now != reserved {
			return err
		}
		return s.settle(ctx, t, e)
	})
	if err == nil && now == prepaid {
		err = function.Drop("payment of an order whose creation was not seen: nothing is reserved until it is")
	}
	return nil, err
}

// settle reserves all that the order asks for, or rejects it.
func (s *Store) settle(ctx context.Context, t transaction, e event.Event) error {
	lines, err := t.lock(ctx)
	if err != nil {
		return err
	}
	lacking := slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return l.missing() == 0 })
	if len(lacking) > 0 {
		return s.reject(ctx, t, e, lacking)
	}
	return s.reserve(ctx, t, e, lines)
}

func (s *Store) reserve(ctx context.Context, t transaction, e event.Event, lines []line) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	now := s.now().UTC()
	return s.tell(ctx, t.tx, e, now, exhausted(lines), fact.Reserved{
		OrderID: t.order, ReservationID: reservationID(t.order), Items: items(lines), ReservedAt: now,
	})
}

func (s *Store) reject(ctx context.Context, t transaction, e event.Event, lacking []line) error {
	if err := t.reject(ctx); err != nil {
		return err
	}
	now := s.now().UTC()
	return s.tell(ctx, t.tx, e, now, untold(lacking), fact.Rejected{
		OrderID: t.order, Items: missingItems(lacking), Reason: reason(lacking), RejectedAt: now,
	})
}

// cancelled frees what is reserved for the order, and sees to it that nothing will be.
func (s *Store) cancelled(ctx context.Context, e event.Event, off order.Cancelled) ([]event.Event, error) {
	return nil, s.transact(ctx, off.OrderID, func(t transaction) error {
		now, err := t.step(ctx, stepCancelled)
		if err != nil || now != released {
			return err
		}
		return s.release(ctx, t, e, off.Reason)
	})
}

func (s *Store) release(ctx context.Context, t transaction, e event.Event, why string) error {
	lines, err := t.lock(ctx)
	if err != nil {
		return err
	}
	if err := t.giveBack(ctx); err != nil {
		return err
	}
	now := s.now().UTC()
	return s.tell(ctx, t.tx, e, now, nil, fact.Released{
		OrderID: t.order, ReservationID: reservationID(t.order), Items: items(lines), Reason: short(why), ReleasedAt: now,
	})
}

// reservationID names what is reserved for an order. There is one reservation for each, so its id follows from the order's.
func reservationID(orderID string) string { return function.EmittedID(name, source, orderID, 0) }

// tell puts what follows from e into the outbox: what became of the order, and which products are gone.
func (s *Store) tell(ctx context.Context, tx *sql.Tx, e event.Event, now time.Time, gone []string, outcome function.Payload) error {
	payloads := []function.Payload{outcome}
	for _, id := range gone {
		payloads = append(payloads, product.OutOfStock{ProductID: id, OutOfStockAt: now})
	}
	events, err := function.Emit(e, payloads...)
	if err != nil {
		return err
	}
	function.Stamp(&identity, e, events, now)
	function.TraceOf(e).Stamp(events)
	function.TraceFrom(ctx).Stamp(events) // that of this attempt, where attempts are traced
	if err := s.outbox.Put(ctx, tx, fact.Topic, events[0]); err != nil {
		return err
	}
	for some := range slices.Chunk(events[1:], outbox.MaxEvents) {
		if err := s.outbox.Put(ctx, tx, product.Topic, some...); err != nil {
			return err
		}
	}
	return nil
}

// transact does something with the tables of an order, as a whole or not at all.
func (s *Store) transact(ctx context.Context, orderID string, do func(transaction) error) error {
	if !storable(orderID) {
		return function.Permanent(fmt.Errorf("the id of order %q cannot be stored", orderID))
	}
	err := s.db.Transact(ctx, func(tx *sql.Tx) error {
		return do(transaction{tx: tx, kind: s.db.Kind(), order: orderID})
	})
	if err == nil {
		s.outbox.Wake()
		return nil
	}
	return verdict(ctx, fmt.Errorf("order %q: %w", orderID, err))
}

// verdict says what becomes of an event whose transaction failed. Nothing that an event may hold makes a statement fail, so
// it is the database, which may also be too slow; unless the process has to leave.
func verdict(ctx context.Context, err error) error {
	if _, invalid := errors.AsType[*outbox.InvalidError](err); invalid {
		return function.Permanent(err)
	}
	if errors.Is(ctx.Err(), context.Canceled) || function.VerdictOf(err) != function.Retry {
		return err
	}
	return function.Unavailable(dependency, err)
}
