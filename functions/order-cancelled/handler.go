package ordercancelled

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/request"
)

func handle(_ context.Context, e event.Event, cancelled order.Cancelled) ([]event.Event, error) {
	cancelledAt := cancelled.CancelledAt
	if cancelledAt.IsZero() {
		cancelledAt = e.Time()
	}
	return request.Emit(e, notification.Requested{
		Aggregate: "notification-" + cancelled.OrderID + "-cancellation",
		Channel:   notification.Email,
		Recipient: cancelled.CustomerID,
	}, notification.OrderCancelled{
		OrderID:      cancelled.OrderID,
		Reason:       cancelled.Reason,
		RefundAmount: cancelled.RefundAmount,
		Currency:     cancelled.Currency,
		CancelledAt:  cancelledAt.UTC(),
	})
}
