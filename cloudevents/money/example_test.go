package money_test

import (
	"fmt"

	"github.com/millrace/millrace/cloudevents/money"
)

func ExampleAmount_Mul() {
	price := money.MustParse("49.99")
	total, err := price.Mul(3)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(total)
	// Output: 149.97
}
