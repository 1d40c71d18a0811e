package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/functions/payment/internal/provider"
	"github.com/millrace/millrace/runtime/function"
)

// free is the method of an order without an amount.
const free = "free"

// charge asks the provider for the money of an order that is charging, and notes what it answered. It returns the row as
// it is then.
func (h *handler) charge(ctx context.Context, e event.Event, p payment) (payment, error) {
	receipt, err := h.take(ctx, p)
	if refused, ok := errors.AsType[*provider.DeclinedError](err); ok {
		p = p.in(declined)
		p.reason = refused.Reason
		return h.conclude(ctx, e, charging, p, answerCharge, p.failed(h.now().UTC()))
	}
	if err != nil {
		return payment{}, fmt.Errorf("charge of order %s: %w", p.orderID, err)
	}
	p = p.in(charged)
	p.method, p.transactionID = receipt.Method, receipt.TransactionID
	return h.conclude(ctx, e, charging, p, answerCharge, p.processed(receipt.At))
}

// take takes the money. Nobody is asked for nothing.
func (h *handler) take(ctx context.Context, p payment) (provider.Receipt, error) {
	if p.amount.IsZero() {
		return provider.Receipt{TransactionID: p.id, Method: free, At: h.now().UTC()}, nil
	}
	return h.provider.Charge(ctx, p.id, provider.Charge{
		OrderID: p.orderID, CustomerID: p.customerID, Amount: p.amount, Currency: p.currency,
	})
}

// refund asks the provider to give the money of an order that is refunding back, and notes that it did. It returns the row as
// it is then. A provider that declines it has a reason that people must hear of.
func (h *handler) refund(ctx context.Context, e event.Event, p payment) (payment, error) {
	receipt, err := h.provider.Refund(ctx, p.refundID, provider.Refund{
		TransactionID: p.transactionID, OrderID: p.orderID, Amount: p.amount, Currency: p.currency, PaidByHand: p.byHand, Reason: p.reason,
	})
	if refused, ok := errors.AsType[*provider.DeclinedError](err); ok {
		err = function.Permanent(refused)
	}
	if err != nil {
		return payment{}, fmt.Errorf("refund of order %s: %w", p.orderID, err)
	}
	return h.conclude(ctx, e, refunding, p.in(refunded), answerRefund, p.refunded(receipt.TransactionID, receipt.At))
}

// conclude moves the row of an order on, together with the event that tells of it.
func (h *handler) conclude(
	ctx context.Context, e event.Event, from state, p payment, place int, told function.Payload,
) (payment, error) {
	tell, err := h.answer(ctx, e, place, told)
	if err != nil {
		return payment{}, err
	}
	return h.ledger.move(ctx, from, p, tell)
}
