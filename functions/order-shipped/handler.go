package ordershipped

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/request"
)

func handle(_ context.Context, e event.Event, shipped order.Shipped) ([]event.Event, error) {
	return request.Emit(e, notification.Requested{
		Aggregate: "notification-" + shipped.OrderID + "-shipping",
		Channel:   notification.Email,
		Recipient: shipped.CustomerID,
	}, notification.OrderShipped{
		OrderID:           shipped.OrderID,
		TrackingNumber:    shipped.TrackingNumber,
		EstimatedDelivery: shipped.EstimatedDelivery,
	})
}
