package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/payment/internal/provider"
	"github.com/millrace/millrace/runtime/function"
)

// identity is what the events of the outbox are stamped with.
var identity = function.Spec{Name: name, Source: source}

// The places of an event's answers, from which their ids follow: one event may lead to a charge and to a refund.
const (
	answerCharge = iota
	answerRefund
)

// handler moves money. Its methods may be called from many goroutines.
type handler struct {
	ledger   *ledger
	provider *provider.Client
	// patience is how long the money of a rejected order is kept for somebody who follows the order.
	patience time.Duration
	now      func() time.Time
}

// created charges an order, or has it wait for a payment by hand.
func (h *handler) created(ctx context.Context, e event.Event, placed order.Created) ([]event.Event, error) {
	s := charging
	if placed.Payment == order.PaymentManual {
		s = waiting
	}
	p := newPayment(s, placed.OrderID, placed.CustomerID).of(placed.Amount, placed.Currency)
	if err := h.check(ctx, e, p); err != nil {
		return nil, err
	}
	row, _, err := h.ledger.add(ctx, p)
	if err == nil && row.state == charging {
		row, err = h.charge(ctx, e, row)
	}
	if err == nil && row.state != cancelled && !row.isAbout(placed.Amount, placed.Currency) {
		err = dropped(&AmountError{
			OrderID: row.orderID, Kept: row.amount, KeptCurrency: row.currency, Told: placed.Amount, ToldCurrency: placed.Currency,
		})
	}
	return nil, err
}

// paid notes that somebody else took the money, or that somebody follows the order whose money this service took.
func (h *handler) paid(ctx context.Context, e event.Event, paid order.Paid) ([]event.Event, error) {
	p := newPayment(followed, paid.OrderID, paid.CustomerID).paidBy(paid)
	if err := h.check(ctx, e, p); err != nil {
		return nil, err
	}
	at := cmp.Or(paid.PaidAt, h.now()).UTC()
	tell, err := h.answer(ctx, e, answerCharge, p.processed(at))
	if err != nil {
		return nil, err
	}
	row, fresh, err := h.ledger.add(ctx, p, tell)
	if err == nil && row.state == waiting {
		p = row.in(followed).paidBy(paid)
		row, err = h.conclude(ctx, e, waiting, p, answerCharge, p.processed(at))
	}
	for err == nil && (row.state == charged || row.state == rejected) && row.transactionID == paid.TransactionID {
		row, err = h.ledger.move(ctx, row.state, row.in(followed))
	}
	known := fresh || row.cameIn() && row.transactionID == paid.TransactionID
	if err == nil && !known {
		err = dropped(fmt.Errorf("order %s is paid by hand while its payment is %s", row.orderID, row.state))
	}
	return nil, err
}

func (h *handler) cancelled(ctx context.Context, e event.Event, off order.Cancelled) ([]event.Event, error) {
	row, err := h.end(ctx, e, off.OrderID, off.CustomerID, off.Reason)
	if err != nil {
		return nil, err
	}
	return nil, h.callOff(ctx, e, row.leftAlone(), off.Reason) // it is this event now that sees to the refund
}

// rejected has the money of an order go back whose goods are not there: at once where nobody was told that it came in, so that
// nobody can have shipped the order. Otherwise whoever follows the order decides, who may have shipped it before they heard
// of this, and cancels it or not. Where it is not known yet whether somebody does, the order waits for them.
func (h *handler) rejected(ctx context.Context, e event.Event, missing inventory.Rejected) ([]event.Event, error) {
	reason := cmp.Or(missing.Reason, "out of stock")
	row, err := h.end(ctx, e, missing.OrderID, "", reason)
	for err == nil && row.state == charged {
		var next payment
		if next, err = row.reject(e, reason, h.now().Add(h.patience)); err == nil {
			row, err = h.ledger.move(ctx, charged, next)
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, h.callOff(ctx, e, row, reason, rejected, followed)
}

// end returns the row of an order that is to be called off, which is cancelled where the order was not seen before.
func (h *handler) end(ctx context.Context, e event.Event, orderID, customerID, reason string) (payment, error) {
	p := newPayment(cancelled, orderID, customerID)
	p.reason = provider.Line(reason)
	if err := h.check(ctx, e, p); err != nil {
		return payment{}, err
	}
	row, _, err := h.ledger.add(ctx, p)
	return row, err
}

// callOff gives back what came in for an order, and sees to it that nothing more does. It goes on from wherever the order
// stands, by one state at a time, and leaves one alone that is in a state that is spared, also where somebody else has just
// brought it there.
func (h *handler) callOff(ctx context.Context, e event.Event, row payment, reason string, spared ...state) (err error) {
	for err == nil && !slices.Contains(spared, row.state) {
		next := row
		next.reason = provider.Line(reason)
		switch row.state {
		case waiting:
			row, err = h.ledger.move(ctx, waiting, next.in(cancelled))
		case charging:
			row, err = h.charge(ctx, e, row)
		case charged, rejected, followed:
			to := refunding
			if row.amount.IsZero() {
				to = cancelled
			}
			row, err = h.ledger.move(ctx, row.state, next.in(to))
		case refunding:
			row, err = h.refund(ctx, e, row)
		case declined, refunded, cancelled:
			return nil
		}
	}
	return err
}

var errNUL = errors.New("an id in the data holds a NUL character, which no database keeps")

// check returns why p cannot be stored, or told as an answer to e: before money moves that nobody could be told of.
func (h *handler) check(ctx context.Context, e event.Event, p payment) error {
	if strings.Contains(p.orderID+p.customerID+p.transactionID, "\x00") {
		return function.Permanent(errNUL)
	}
	draft, err := h.answer(ctx, e, answerCharge, p.processed(h.now().UTC()))
	if err != nil {
		return err
	}
	return h.ledger.check(draft)
}

// dropped finishes an event for a reason that callers and logs can tell.
func dropped(why error) error { return fmt.Errorf("%w: %w", function.Drop("it changes nothing"), why) }

// answer returns the event that tells what e led to.
func (h *handler) answer(ctx context.Context, e event.Event, place int, told function.Payload) (event.Event, error) {
	answers, err := function.Emit(e, told)
	if err != nil {
		return event.Event{}, err
	}
	answers[0].SetID(function.EmittedID(name, e.Source(), e.ID(), place))
	function.Stamp(&identity, e, answers, h.now())
	function.TraceOf(e).Stamp(answers)
	function.TraceFrom(ctx).Stamp(answers) // that of this attempt, where attempts are traced
	return answers[0], nil
}
