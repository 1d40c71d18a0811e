package ordercreated

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/request"
)

func handle(_ context.Context, e event.Event, placed order.Created) ([]event.Event, error) {
	return request.Emit(e, notification.Requested{
		Aggregate: "notification-" + placed.OrderID,
		Channel:   notification.Email,
		Recipient: placed.CustomerID,
	}, notification.OrderConfirmation{
		OrderID:   placed.OrderID,
		Amount:    placed.Amount,
		Currency:  placed.Currency,
		OrderDate: request.OccurredAt(e, placed.OrderDate),
	})
}
