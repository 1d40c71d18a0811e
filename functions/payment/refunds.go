package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/functions/payment/internal/provider"
	"github.com/millrace/millrace/runtime/function"
)

const (
	// refundsChore is the name of the chore that gives back the money of rejected orders that nobody follows.
	refundsChore = "payment-refunds"
	// refundsPage is how many of them one run looks up.
	refundsPage = 100
)

func (h *handler) chore() function.Chore {
	return function.Chore{Name: refundsChore, Run: func(ctx context.Context, _ function.Publish) error { return h.refundDue(ctx) }}
}

// refundDue gives back the money of orders that were rejected a while ago. One that the provider refuses holds up no other; a
// provider that is down is not asked for the next.
func (h *handler) refundDue(ctx context.Context) error {
	due, err := h.ledger.refundsDue(ctx, refundsPage)
	if err != nil {
		return fmt.Errorf("look up which rejected orders are to get their money back: %w", err)
	}
	var problems []error
	for _, id := range due {
		err := h.refundRejected(ctx, id)
		if _, down := errors.AsType[*function.UnavailableError](err); down || ctx.Err() != nil {
			return errors.Join(append(problems, err)...)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// refundRejected gives back the money of an order as the answer to the event that rejected it. It is tried again when the
// patience has passed once more, whatever it ends with.
func (h *handler) refundRejected(ctx context.Context, orderID string) error {
	row, err := h.ledger.claim(ctx, orderID, h.now().Add(h.patience))
	if err != nil || row.refundDue == 0 {
		return err
	}
	return h.refundClaimed(ctx, row)
}

// refundClaimed gives back the money of an order, unless somebody has told since row was read that they follow it.
func (h *handler) refundClaimed(ctx context.Context, row payment) error {
	var e event.Event
	if err := e.UnmarshalJSON([]byte(row.rejection)); err != nil {
		return fmt.Errorf("payment of order %s: the event that rejected it: %w", row.orderID, err)
	}
	return h.callOff(ctx, e, row, row.reason, followed)
}

// reject returns p as that of an order whose goods are not there, as e tells, and whose money goes back at some time.
func (p payment) reject(e event.Event, reason string, at time.Time) (payment, error) {
	named := e.Clone()
	named.DataEncoded = nil
	text, err := named.MarshalJSON()
	if err != nil {
		return p, function.Permanent(err)
	}
	p = p.in(rejected)
	p.refundDue, p.rejection, p.reason = at.UnixMicro(), string(text), provider.Line(reason)
	return p, nil
}
