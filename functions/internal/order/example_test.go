package order_test

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

// An order is paid, then cancelled, and its money given back. Whatever is against the rules is refused with the rule.
func Example() {
	at := time.Date(2023, 12, 1, 10, 0, 0, 0, time.UTC)
	o := order.New("12345")
	happens := func(facts []function.Payload, err error) {
		if err == nil {
			o, err = o.Apply(facts...)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("version %d: %s\n", o.Version, o.Status())
	}

	happens(o.Ship(order.Shipment{At: at}))
	happens(o.Create(order.Creation{
		CustomerID: "customer-789",
		Items:      []fact.Item{{ProductID: "prod-456", Quantity: 2, Price: money.MustParse("49.99")}},
		At:         at,
	}))
	happens(o.Deliver(at))
	happens(o.Pay(order.Payment{Amount: o.Created.Amount, Method: "card", TransactionID: "txn-1", At: at}))
	happens(o.Pay(order.Payment{Amount: o.Created.Amount, Method: "card", TransactionID: "txn-2", At: at}))
	happens(o.StartProcessing(order.Reservation{ID: "res-1", At: at}))
	happens(o.Cancel(order.Cancellation{Reason: "changed my mind", At: at}))
	happens(o.Ship(order.Shipment{At: at}))
	fmt.Println("to be given back:", o.RefundDue(), o.Created.Currency)
	happens(o.Refund(order.Refund{Amount: o.RefundDue(), Currency: "USD", TransactionID: "txn-3", At: at}))
	fmt.Println("to be given back:", o.RefundDue(), o.Created.Currency)

	// Output:
	// order 12345 is not created, cannot ship: an order is shipped only when it is paid or processing
	// version 1: pending
	// order 12345 is pending, cannot deliver: an order is delivered only when it is shipped
	// version 2: paid
	// order 12345 is paid, cannot pay: an order is paid only while it is pending
	// version 3: processing
	// version 4: cancelled
	// order 12345 is cancelled, cannot ship: an order is shipped only when it is paid or processing
	// to be given back: 99.98 USD
	// version 5: cancelled
	// to be given back: 0 USD
}
