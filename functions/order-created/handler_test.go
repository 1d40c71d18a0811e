package ordercreated_test

import (
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/functiontest"
	ordercreated "github.com/millrace/millrace/functions/order-created"
	"github.com/millrace/millrace/runtime/function"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	functiontest.Golden(t, ordercreated.Spec)
}

// The tutorial's load test sends no currency, address or date, and whole amounts.
func TestLoadTestOrder(t *testing.T) {
	t.Parallel()
	out, err := functiontest.Handler(t, ordercreated.Spec).Handle(t.Context(), newOrder(
		`{"orderId":"order-7","customerId":"customer-3","amount":312,"items":[{"productId":"prod-9","quantity":3,"price":42}]}`))
	if err != nil || len(out) != 1 {
		t.Fatalf("got %v, %v", out, err)
	}
	const want = `{"type":"email","recipient":"customer-3","template":"order_confirmation",` +
		`"data":{"orderId":"order-7","amount":312,"orderDate":"2023-12-01T10:00:00Z"}}`
	if got := string(out[0].Data()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBadOrders(t *testing.T) {
	t.Parallel()
	handler := functiontest.Handler(t, ordercreated.Spec)
	for name, data := range map[string]string{
		"no data":     ``,
		"no JSON":     `{"orderId":`,
		"a list":      `[]`,
		"no customer": `{"orderId":"order-7","amount":312}`,
		"no amount":   `{"orderId":"order-7","customerId":"customer-3"}`,
		"twice":       `{"orderId":"order-7","orderId":"order-8","customerId":"customer-3","amount":312}`,
		"amount":      `{"orderId":"order-7","customerId":"customer-3","amount":"much"}`,
	} {
		out, err := handler.Handle(t.Context(), newOrder(data))
		if out != nil || function.VerdictOf(err) != function.DeadLetter {
			t.Errorf("%s: got %v, %v, want a permanent error", name, out, err)
		}
	}
}

func newOrder(data string) event.Event {
	e := event.New()
	e.SetID("event-1")
	e.SetSource("/load-test")
	e.SetType(order.CreatedType)
	e.SetTime(time.Date(2023, 12, 1, 10, 0, 0, 0, time.UTC))
	e.DataEncoded = []byte(data)
	return e
}
