package productoutofstock

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/functions/internal/request"
)

func handle(_ context.Context, e event.Event, gone product.OutOfStock) ([]event.Event, error) {
	return request.Emit(e, notification.Requested{
		Aggregate: "notification-product-" + gone.ProductID,
		Channel:   notification.AdminAlert,
	}, notification.ProductOutOfStock{
		ProductID:    gone.ProductID,
		ProductName:  gone.ProductName,
		OutOfStockAt: request.OccurredAt(e, gone.OutOfStockAt),
	})
}
