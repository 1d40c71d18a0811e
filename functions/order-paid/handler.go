package orderpaid

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/request"
)

func handle(_ context.Context, e event.Event, paid order.Paid) ([]event.Event, error) {
	return request.Emit(e, notification.Requested{
		Aggregate: "notification-" + paid.OrderID + "-payment",
		Channel:   notification.SMS,
		Recipient: paid.CustomerID,
	}, notification.PaymentConfirmation{
		OrderID:       paid.OrderID,
		PaymentMethod: paid.PaymentMethod,
		PaidAt:        request.OccurredAt(e, paid.PaidAt),
	})
}
