// Package catalog is the one list of the functions that local development runs, and the consumer groups they run in.
//
// It imports the functions and runtime/function.
package catalog

import (
	notificationrequested "github.com/millrace/millrace/functions/notification-requested"
	ordercancelled "github.com/millrace/millrace/functions/order-cancelled"
	ordercreated "github.com/millrace/millrace/functions/order-created"
	orderpaid "github.com/millrace/millrace/functions/order-paid"
	ordershipped "github.com/millrace/millrace/functions/order-shipped"
	productoutofstock "github.com/millrace/millrace/functions/product-out-of-stock"
	userregistered "github.com/millrace/millrace/functions/user-registered"
	"github.com/millrace/millrace/runtime/function"
)

// The consumer groups of the notification service. The functions that read orders share one, so that the events of an
// order are handled in their order although different functions handle them.
const (
	OrdersGroup   = "notification-service-orders"
	UsersGroup    = "notification-service-users"
	ProductsGroup = "notification-service-products"
)

// Functions returns every function, in the group that it runs in.
func Functions() []function.Spec {
	return []function.Spec{
		ordercreated.Spec.InGroup(OrdersGroup),
		orderpaid.Spec.InGroup(OrdersGroup),
		ordershipped.Spec.InGroup(OrdersGroup),
		ordercancelled.Spec.InGroup(OrdersGroup),
		userregistered.Spec.InGroup(UsersGroup),
		productoutofstock.Spec.InGroup(ProductsGroup),
		notificationrequested.Spec,
	}
}
