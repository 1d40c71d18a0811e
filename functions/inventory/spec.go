package inventory

import (
	"context"
	"fmt"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

const (
	name   = "inventory"
	source = "/inventory-service"
)

// Spec describes the function inventory.
var Spec = function.Spec{
	Name:     name,
	Topic:    order.Topic,
	Source:   source,
	Emits:    []string{fact.ReservedType, fact.RejectedType, fact.ReleasedType, product.OutOfStockType},
	Settings: &settings{},
	New:      newHandler,
}

// settings are the function's part of the environment.
type settings struct {
	Database     database.Config
	InitialStock int64 `env:"INVENTORY_INITIAL_STOCK, default=100000" min:"0" max:"1000000000" doc:"Pieces of each of prod-0 to prod-99 in a shop that has no product yet."`
}

// service is a Handler with the store that it works on.
type service struct {
	function.Handler

	store *Store
}

// Chores are those of the outbox.
func (s service) Chores() []function.Chore { return []function.Chore{s.store.outbox.Chore()} }

// Close closes the store.
func (s service) Close() error { return s.store.Close() }

// newHandler accepts the whole topic: what does not touch the goods is known and passes by.
func newHandler(lookup function.Lookup) (function.Handler, error) {
	var s settings
	if err := lookup.Into(&s); err != nil {
		return nil, err
	}
	store, err := Open(context.Background(), s.Database, s.InitialStock)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", name, err)
	}
	return service{handler(store), store}, nil
}

func handler(s *Store) function.Handler {
	return function.Route(
		function.On(order.CreatedType, s.created),
		function.On(payment.ProcessedType, s.paid),
		function.On(order.CancelledType, s.cancelled),
		function.PassBy(
			order.PaidType, order.ProcessingStartedType, order.ShippedType, order.DeliveredType, order.RefundedType,
			payment.FailedType, payment.RefundedType,
			fact.ReservedType, fact.RejectedType, fact.ReleasedType,
		),
	)
}
