package schemas_test

import (
	"testing"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
)

// tutorialOrder is the data of the OrderCreated that the tutorial shows.
const tutorialOrder = `{"orderId":"12345","customerId":"customer-789","amount":99.99,"currency":"USD",` +
	`"items":[{"productId":"prod-456","quantity":2,"price":49.99}]}`

func BenchmarkValidate(b *testing.B) {
	data := []byte(tutorialOrder)
	b.ReportAllocs()
	for b.Loop() {
		if err := schemas.Validate(order.CreatedType, data); err != nil {
			b.Fatal(err)
		}
	}
}
