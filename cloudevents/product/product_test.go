package product_test

import (
	"testing"

	"github.com/millrace/millrace/cloudevents/product"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	type payload interface {
		EventType() string
		AggregateID() string
	}
	for want, p := range map[string]payload{
		"dev.millrace.product.updated.v1":       product.Updated{ProductID: "p-1", ProductName: "Kettle"},
		"dev.millrace.product.price-changed.v1": product.PriceChanged{ProductID: "p-1", ProductName: "Kettle"},
		"dev.millrace.product.out-of-stock.v1":  product.OutOfStock{ProductID: "p-1", ProductName: "Kettle"},
	} {
		if p.EventType() != want || p.AggregateID() != "p-1" {
			t.Errorf("%T has type %s and aggregate %s", p, p.EventType(), p.AggregateID())
		}
	}
}
