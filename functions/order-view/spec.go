package orderview

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function order-view. It emits nothing.
var Spec = function.Spec{
	Name:     orderview.Name,
	Topic:    order.Topic,
	Source:   orderstore.Source,
	Settings: &settings{},
	New:      newHandler,
}

// settings are the function's part of the environment.
type settings struct {
	Database database.Config
}

// service is a Handler with the view that it keeps.
type service struct {
	function.Handler

	view *View
}

// Chores are that of the projection.
func (s service) Chores() []function.Chore { return []function.Chore{s.view.Projection().Chore()} }

// Close closes the database.
func (s service) Close() error { return s.view.Close() }

func newHandler(lookup function.Lookup) (function.Handler, error) {
	var s settings
	if err := lookup.Into(&s); err != nil {
		return nil, err
	}
	view, err := Open(context.Background(), s.Database)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", orderview.Name, err)
	}
	return service{handler(view), view}, nil
}

// handler accepts the whole topic: events of others follow from facts of orders, or facts follow from them.
func handler(v *View) function.Handler {
	return function.Route(
		function.Raw(
			v.handle,
			order.CreatedType, order.PaidType, order.ProcessingStartedType, order.ShippedType, order.DeliveredType,
			order.CancelledType, order.RefundedType,
		),
		function.PassBy(
			payment.ProcessedType, payment.FailedType, payment.RefundedType,
			inventory.ReservedType, inventory.RejectedType, inventory.ReleasedType,
		),
	)
}
