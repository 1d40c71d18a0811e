package schemas_test

import (
	"fmt"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
)

func ExampleValidate() {
	err := schemas.Validate(order.CreatedType, []byte(`{"orderId":"12345","amount":"9 dollars"}`))
	fmt.Println(err)
	// Output: data of dev.millrace.order.created.v1 does not fit its schema: /amount must be in the format decimal; /customerId is missing
}

func ExampleByEnvelope() {
	t, ok := schemas.ByEnvelope("OrderCreated")
	fmt.Println(t.Name, t.Topic, ok)
	// Output: dev.millrace.order.created.v1 order-events true
}
