package orderprocess

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/inventory"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

// maxReason is how much of a reason that another service tells goes into the order's own, in bytes.
const maxReason = 1000

// handler takes the orders of a store from step to step.
type handler struct {
	function.Handler

	store     *orderstore.Store
	deadlines *deadlines
}

func newHandler(lookup function.Lookup) (function.Handler, error) { return open(lookup, time.Now) }

// open opens the store that the environment names. now is the clock by which orders wait.
func open(lookup function.Lookup, now func() time.Time) (function.Handler, error) {
	var s settings
	if err := lookup.Into(&s); err != nil {
		return nil, err
	}
	ctx := context.Background()
	store, err := orderstore.Open(ctx, s.Database)
	if err != nil {
		return nil, err
	}
	d, err := newDeadlines(ctx, store, s.patience(), now)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	h := &handler{store: store, deadlines: d}
	h.Handler = h.route()
	return h, nil
}

// Chores returns the relay of the store, and what ends orders that wait too long.
func (h *handler) Chores() []function.Chore { return append(h.store.Chores(), h.deadlines.chore()) }

// Close closes the store.
func (h *handler) Close() error { return h.store.Close() }

// route accepts the whole topic.
func (h *handler) route() function.Handler {
	return function.Route(
		function.On(payment.ProcessedType, h.paid),
		function.On(payment.FailedType, h.unpaid),
		function.On(payment.RefundedType, h.refunded),
		function.On(inventory.ReservedType, h.reserved),
		function.On(inventory.RejectedType, h.rejected),
		function.PassBy(inventory.ReleasedType),
		own[fact.Created](h.deadlines),
		own[fact.Paid](h.deadlines),
		own[fact.ProcessingStarted](h.deadlines),
		own[fact.Shipped](h.deadlines),
		own[fact.Delivered](h.deadlines),
		own[fact.Cancelled](h.deadlines),
		own[fact.Refunded](h.deadlines),
	)
}

// own follows the facts of an order itself, which come back from the topic.
func own[T function.Payload](d *deadlines) function.Handler {
	var zero T
	return function.On(zero.EventType(), func(ctx context.Context, e event.Event, told T) ([]event.Event, error) {
		return nil, d.follow(ctx, e, told.AggregateID())
	})
}

func (h *handler) paid(ctx context.Context, e event.Event, p payment.Processed) ([]event.Event, error) {
	return h.change(ctx, e, p.OrderID, func(o order.Order) ([]function.Payload, error) {
		if o.Paid.OrderID != "" && o.Paid.TransactionID == p.TransactionID { // by hand, which the payment service repeats
			return nil, nil
		}
		return o.Pay(order.Payment{
			Amount: p.Amount, Currency: p.Currency, Method: p.PaymentMethod, TransactionID: p.TransactionID, At: h.at(p.ProcessedAt, e),
		})
	})
}

func (h *handler) unpaid(ctx context.Context, e event.Event, f payment.Failed) ([]event.Event, error) {
	return h.change(ctx, e, f.OrderID, func(o order.Order) ([]function.Payload, error) {
		if o.Status() != order.Pending {
			return nil, function.Drop("a failed payment ends an order only while it is pending; the order is " + string(o.Status()))
		}
		return o.Cancel(order.Cancellation{Reason: because("payment failed", f.Reason), At: h.at(f.FailedAt, e)})
	})
}

func (h *handler) reserved(ctx context.Context, e event.Event, r inventory.Reserved) ([]event.Event, error) {
	return h.change(ctx, e, r.OrderID, func(o order.Order) ([]function.Payload, error) {
		if o.ProcessingStarted.OrderID != "" && o.ProcessingStarted.ReservationID == r.ReservationID {
			return nil, nil
		}
		return o.StartProcessing(order.Reservation{ID: r.ReservationID, At: h.at(r.ReservedAt, e)})
	})
}

func (h *handler) rejected(ctx context.Context, e event.Event, r inventory.Rejected) ([]event.Event, error) {
	return h.change(ctx, e, r.OrderID, func(o order.Order) ([]function.Payload, error) {
		return o.Cancel(order.Cancellation{Reason: because("not in stock", r.Reason), At: h.at(r.RejectedAt, e)})
	})
}

func (h *handler) refunded(ctx context.Context, e event.Event, r payment.Refunded) ([]event.Event, error) {
	return h.change(ctx, e, r.OrderID, func(o order.Order) ([]function.Payload, error) {
		if o.Refunded.OrderID != "" && o.Refunded.TransactionID == r.TransactionID {
			return nil, nil
		}
		return o.Refund(order.Refund{
			Amount: r.Amount, Currency: r.Currency, TransactionID: r.TransactionID, At: h.at(r.RefundedAt, e),
		})
	})
}

// change changes the order that e is about, if it is one of the store's.
func (h *handler) change(ctx context.Context, e event.Event, id string, decide orderstore.Decide) ([]event.Event, error) {
	_, err := h.store.Change(ctx, id, orderstore.Cause{Parent: &e, At: h.deadlines.now()}, func(o order.Order) ([]function.Payload, error) {
		if o.Status() == order.None {
			return nil, errForeign
		}
		return decide(o)
	}, nil)
	return nil, verdict(err)
}

// at returns when something was told to have happened: a date of the payload, or else that of the event, or else now.
func (h *handler) at(told time.Time, e event.Event) time.Time {
	switch {
	case !told.IsZero():
		return told
	case !e.Time().IsZero():
		return e.Time()
	}
	return h.deadlines.now()
}

// because returns what happened and why. Only so much of why is repeated as leaves the fact small.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + strings.ToValidUTF8(why[:min(len(why), maxReason)], "")
}
