// Package ordershipped answers a shipment with the request to announce it by email.
//
// It imports runtime/function, payload packages and the SDK's event package.
package ordershipped

import (
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/request"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function order-shipped.
var Spec = function.Spec{
	Name:   "order-shipped",
	Topic:  order.Topic,
	Source: request.Source,
	Emits:  []string{notification.RequestedType},
	New: func(function.Lookup) (function.Handler, error) {
		return function.On(order.ShippedType, handle), nil
	},
}
