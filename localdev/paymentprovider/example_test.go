package paymentprovider_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/millrace/millrace/localdev/paymentprovider"
)

// A request that is repeated, since its answer was lost, charges nothing more.
func Example() {
	p, err := paymentprovider.Start(&paymentprovider.Options{
		Addr:   "127.0.0.1:0",
		Booked: func(e paymentprovider.Entry) { fmt.Println(e.Kind, "of", e.Amount, e.Currency, "for order", e.OrderID) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	for range 2 {
		request, err := http.NewRequest(http.MethodPost, p.URL()+"/charges", strings.NewReader(`{"orderId":"12345","amount":99.90,"currency":"EUR"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", "pay-1")
		request.Close = true
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer.Body.Close()
		fmt.Println(answer.Status)
	}
	fmt.Println(len(p.Charges("12345")), "charge")
	// Output:
	// charge of 99.90 EUR for order 12345
	// 201 Created
	// 201 Created
	// 1 charge
}
