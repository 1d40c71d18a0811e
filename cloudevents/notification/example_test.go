package notification_test

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/notification"
)

func ExampleRequested_With() {
	asked, err := notification.Requested{
		Aggregate: "notification-12345",
		Channel:   notification.Email,
		Recipient: "customer-789",
	}.With(notification.OrderConfirmation{
		OrderID:   "12345",
		Amount:    money.MustParse("99.99"),
		OrderDate: time.Date(2023, 12, 1, 10, 0, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := json.Marshal(asked)
	fmt.Println(string(data), err)
	// Output: {"type":"email","recipient":"customer-789","template":"order_confirmation","data":{"orderId":"12345","amount":99.99,"orderDate":"2023-12-01T10:00:00Z"}} <nil>
}
