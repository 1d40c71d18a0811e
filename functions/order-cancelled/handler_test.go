package ordercancelled_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/functiontest"
	ordercancelled "github.com/millrace/millrace/functions/order-cancelled"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	functiontest.Golden(t, ordercancelled.Spec)
}

// Where the payload has no date, the event's time is when the order was cancelled.
func TestWithoutDate(t *testing.T) {
	t.Parallel()
	e := event.New()
	e.SetType(order.CancelledType)
	e.SetTime(time.Date(2023, 12, 1, 10, 0, 0, 0, time.UTC))
	e.DataEncoded = []byte(`{"orderId":"12345","customerId":"customer-789"}`)
	out, err := functiontest.Handler(t, ordercancelled.Spec).Handle(t.Context(), e)
	if err != nil || len(out) != 1 || !strings.Contains(string(out[0].Data()), `"cancelledAt":"2023-12-01T10:00:00Z"`) {
		t.Errorf("got %v, %v", out, err)
	}
}
