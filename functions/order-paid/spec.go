// Package orderpaid answers a payment with the request to confirm it by text message.
//
// It imports runtime/function, payload packages and the SDK's event package.
package orderpaid

import (
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/request"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function order-paid.
var Spec = function.Spec{
	Name:   "order-paid",
	Topic:  order.Topic,
	Source: request.Source,
	Emits:  []string{notification.RequestedType},
	New: func(function.Lookup) (function.Handler, error) {
		return function.On(order.PaidType, handle), nil
	},
}
