// Package orderprocess leads the orders of the order service from step to step: what the services for payment and stock
// tell makes an order paid, processing or cancelled, and one that waits too long for them is cancelled.
//
//	told                    the order then is
//	payment processed       paid
//	payment failed          cancelled
//	inventory reserved      processing
//	inventory rejected      cancelled; its customer is to get the money back
//	payment refunded        cancelled; its customer has got the money back
//	nothing, for too long   cancelled
//
// The other services compensate by themselves: they hear that an order was cancelled, release its goods and give its money
// back. So they may tell what the order can no longer use: its payment, when the customer cancelled it meanwhile. Such
// events, and those about orders that are not of this store, are dropped, which is counted. An event that comes again, or
// tells again what the order knows, changes nothing.
//
// The package imports runtime/function, runtime/database for its settings, functions/internal/order and orderstore, payload
// packages and the SDK's event package.
package orderprocess

import (
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function order-process. Its handler returns no events: they are put into the outbox of the store, in
// the transaction of the change that they tell of, and a chore publishes them.
var Spec = function.Spec{
	Name:     "order-process",
	Topic:    order.Topic,
	Source:   orderstore.Source,
	Emits:    orderstore.Types(),
	Settings: &settings{},
	New:      newHandler,
}
