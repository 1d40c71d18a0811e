// Package productoutofstock answers a product that ran out with the request to alert the shop's own people.
//
// It imports runtime/function, payload packages and the SDK's event package.
package productoutofstock

import (
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/functions/internal/request"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function product-out-of-stock.
var Spec = function.Spec{
	Name:   "product-out-of-stock",
	Topic:  product.Topic,
	Source: request.Source,
	Emits:  []string{notification.RequestedType},
	New: func(function.Lookup) (function.Handler, error) {
		return function.On(product.OutOfStockType, handle), nil
	},
}
