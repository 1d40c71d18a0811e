package order_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/inventory"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

func TestWhatCannotBeNext(t *testing.T) {
	t.Parallel()
	paid, _ := after(t, "create", "pay")
	none := order.New("12345")
	tests := map[string]struct {
		to   order.Order
		told function.Payload
		want string
	}{
		"created twice": {paid, fact.Created{OrderID: "12345"}, "order 12345, event 3 of its stream: the order is created already"},
		"nothing":       {paid, nil, `order 12345, event 3 of its stream: event type "" is none of an order: is the program older than the stream?`},
		"another aggregate's": {paid, inventory.Reserved{OrderID: "12345"},
			`order 12345, event 3 of its stream: event type "dev.millrace.inventory.reserved.v1" is none of an order: is the program older than the stream?`},
		"another order":                {none, fact.Created{OrderID: "54321"}, "order 12345, event 1 of its stream: it is about another order"},
		"another order, later":         {paid, fact.Shipped{OrderID: "54321"}, "order 12345, event 3 of its stream: it is about another order"},
		"paid before created":          {none, fact.Paid{OrderID: "12345"}, "order 12345, event 1 of its stream: the order must be created first"},
		"processed before created":     {none, fact.ProcessingStarted{OrderID: "12345"}, "order 12345, event 1 of its stream: the order must be created first"},
		"shipped before created":       {none, fact.Shipped{OrderID: "12345"}, "order 12345, event 1 of its stream: the order must be created first"},
		"delivered before created":     {none, fact.Delivered{OrderID: "12345"}, "order 12345, event 1 of its stream: the order must be created first"},
		"cancelled before created":     {none, fact.Cancelled{OrderID: "12345"}, "order 12345, event 1 of its stream: the order must be created first"},
		"refunded before created":      {none, fact.Refunded{OrderID: "12345"}, "order 12345, event 1 of its stream: the order must be created first"},
		"an order without an id, ever": {order.New(""), fact.Created{OrderID: "12345"}, "order , event 1 of its stream: it is about another order"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.to.Apply(tt.told, fact.Delivered{OrderID: "12345"})
			var history *order.HistoryError
			if !errors.As(err, &history) || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if diff := cmp.Diff(tt.to, got); diff != "" {
				t.Errorf("the order before it should be kept:\n%s", diff)
			}
		})
	}
}

func TestUnknownTypeIsNamed(t *testing.T) {
	t.Parallel()
	_, decodeErr := order.Decode("dev.millrace.order.gift-wrapped.v1", []byte(`{}`))
	created, _ := after(t, "create")
	_, applyErr := created.Apply(giftWrapped{})
	for _, err := range []error{decodeErr, applyErr} {
		var unknown *order.UnknownTypeError
		if !errors.As(err, &unknown) || unknown.Type != "dev.millrace.order.gift-wrapped.v1" {
			t.Errorf("got %v", err)
		}
	}
}

type giftWrapped struct{}

func (giftWrapped) EventType() string   { return "dev.millrace.order.gift-wrapped.v1" }
func (giftWrapped) AggregateID() string { return "12345" }

// Facts that no rule of today would allow are read nevertheless.
func TestRulesDoNotBindThePast(t *testing.T) {
	t.Parallel()
	pending, _ := after(t, "create")
	shipped, err := pending.Apply(fact.Shipped{OrderID: "12345"})
	if err != nil || shipped.Status() != order.Shipped || shipped.Version != 2 {
		t.Errorf("is %s at version %d, %v", shipped.Status(), shipped.Version, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"nothing":         ``,
		"not JSON":        `secret`,
		"no order":        `{"customerId":"2"}`,
		"a name twice":    `{"orderId":"1","orderId":"1","customerId":"2"}`,
		"date in words":   `{"orderId":"1","customerId":"2","paidAt":"secret"}`,
		"more than 1 MiB": `{"orderId":"1","customerId":"2"}` + strings.Repeat(" ", schemas.MaxSize),
	} {
		told, err := order.Decode(fact.PaidType, []byte(data))
		var invalid *schemas.Error
		if told != nil || !errors.As(err, &invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, %v", name, told, err)
		}
	}
}
