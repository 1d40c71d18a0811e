// Package catalog is the one list of the functions and services that local development runs, of the consumer groups they run in and
// the databases they keep.
//
// It imports the functions and runtime/function.
package catalog

import (
	"github.com/millrace/millrace/functions/inventory"
	notificationrequested "github.com/millrace/millrace/functions/notification-requested"
	orderapi "github.com/millrace/millrace/functions/order-api"
	ordercancelled "github.com/millrace/millrace/functions/order-cancelled"
	ordercreated "github.com/millrace/millrace/functions/order-created"
	orderpaid "github.com/millrace/millrace/functions/order-paid"
	orderprocess "github.com/millrace/millrace/functions/order-process"
	ordershipped "github.com/millrace/millrace/functions/order-shipped"
	orderview "github.com/millrace/millrace/functions/order-view"
	"github.com/millrace/millrace/functions/payment"
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
		orderprocess.Spec,
		orderview.Spec,
		payment.Spec,
		inventory.Spec,
	}
}

// Services returns every service that answers HTTP requests.
func Services() []function.Service { return []function.Service{orderapi.Service} }

// databases are what the functions and services of the shop keep. Those of the order service share one.
var databases = map[string]string{
	orderapi.Service.Name:  "orders",
	orderprocess.Spec.Name: "orders",
	orderview.Spec.Name:    "orders",
	payment.Spec.Name:      "payment",
	inventory.Spec.Name:    "inventory",
}

// Database returns the name of the database that a function or service keeps, empty for none.
func Database(name string) string { return databases[name] }
