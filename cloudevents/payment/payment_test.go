package payment_test

import (
	"testing"

	"github.com/millrace/millrace/cloudevents/payment"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	type payload interface {
		EventType() string
		AggregateID() string
	}
	for want, p := range map[string]payload{
		"dev.millrace.payment.processed.v1": payment.Processed{OrderID: "o-1", PaymentID: "pay-1"},
		"dev.millrace.payment.failed.v1":    payment.Failed{OrderID: "o-1", PaymentID: "pay-1"},
		"dev.millrace.payment.refunded.v1":  payment.Refunded{OrderID: "o-1", PaymentID: "pay-1"},
	} {
		if p.EventType() != want || p.AggregateID() != "o-1" {
			t.Errorf("%T has type %s and aggregate %s", p, p.EventType(), p.AggregateID())
		}
	}
}
