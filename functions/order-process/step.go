package orderprocess

import (
	"fmt"
	"strings"
	"time"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
)

// step is what an order waits for, as the table of deadlines has it. An order that is shipped, delivered or cancelled waits
// for none, and one that is being processed for people.
type step string

const (
	none        step = ""
	charge      step = "payment"
	handPayment step = "payment by hand"
	reservation step = "reservation"
)

// waitsFor returns what o waits for.
func waitsFor(o order.Order) step {
	switch status := o.Status(); {
	case status == order.Pending && o.Created.Payment == fact.PaymentManual:
		return handPayment
	case status == order.Pending:
		return charge
	case status == order.Paid:
		return reservation
	}
	return none
}

// reason says why an order is cancelled that waited in vain.
func (s step) reason(patience time.Duration) string {
	subject := map[step]string{charge: "payment did not answer", handPayment: "nobody paid", reservation: "stock did not answer"}
	return fmt.Sprintf("%s within %s", subject[s], short(patience))
}

// short writes whole minutes and hours without the rest of which there is none: 15m, 24h.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
