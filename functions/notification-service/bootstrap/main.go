// Command bootstrap runs the notification service of the tutorial: its five handlers in its three consumer groups.
package main

import (
	ordercreated "github.com/millrace/millrace/functions/order-created"
	orderpaid "github.com/millrace/millrace/functions/order-paid"
	ordershipped "github.com/millrace/millrace/functions/order-shipped"
	productoutofstock "github.com/millrace/millrace/functions/product-out-of-stock"
	userregistered "github.com/millrace/millrace/functions/user-registered"
	"github.com/millrace/millrace/runtime/boot"
)

func main() {
	boot.Main(
		ordercreated.Spec.InGroup("notification-service-orders"),
		orderpaid.Spec.InGroup("notification-service-orders"),
		ordershipped.Spec.InGroup("notification-service-orders"),
		userregistered.Spec.InGroup("notification-service-users"),
		productoutofstock.Spec.InGroup("notification-service-products"),
	)
}
