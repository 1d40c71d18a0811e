package order_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

// What cannot be told is refused before it is stored, whatever is wrong with it, and not quoted.
func TestInvalidCreation(t *testing.T) {
	t.Parallel()
	item := func(change func(*fact.Item)) func(*order.Creation) {
		return func(c *order.Creation) {
			c.Items = []fact.Item{creation.Items[0], creation.Items[0]}
			change(&c.Items[1])
		}
	}
	below := money.MustParse("-0.01")
	tests := map[string]struct {
		change func(*order.Creation)
		want   string
	}{
		"no customer":         {func(c *order.Creation) { c.CustomerID = "" }, "/customerId has 0 characters"},
		"no time":             {func(c *order.Creation) { c.At = time.Time{} }, "the time at which it happened is missing"},
		"a time beyond JSON":  {func(c *order.Creation) { c.At = noon.AddDate(9000, 0, 0) }, "/orderDate"},
		"no items":            {func(c *order.Creation) { c.Items = nil }, "at least one item"},
		"item of nothing":     {item(func(i *fact.Item) { i.ProductID = "" }), "/items/1/productId has 0 characters"},
		"no pieces":           {item(func(i *fact.Item) { i.Quantity = 0 }), "/items/1/quantity must be at least 1"},
		"too many pieces":     {item(func(i *fact.Item) { i.Quantity = 1e9 + 1 }), "/items/1/quantity must be at most 1000000000"},
		"price below 0":       {item(func(i *fact.Item) { i.Price = below }), "/items/1/price must be at least 0"},
		"sum beyond money":    {item(func(i *fact.Item) { i.Price = money.MustParse("9999999999999999999") }), "up to /items/1: money: more than 19 digits"},
		"amount below 0":      {func(c *order.Creation) { c.Amount = &below }, "/amount must be at least 0"},
		"no currency":         {func(c *order.Creation) { c.Currency = "secret" }, "/currency must match"},
		"payment nobody does": {func(c *order.Creation) { c.Payment = "secret" }, "/payment must match"},
		"not UTF-8":           {func(c *order.Creation) { c.ShippingAddress.City = "secret\xff" }, "invalid UTF-8"},
		"too large":           {func(c *order.Creation) { c.ShippingAddress.Line = strings.Repeat("secret", 10<<10) }, "more than 61440 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := creation
			tt.change(&c)
			facts, err := order.New("12345").Create(c)
			requireInvalid(t, facts, err, "create", tt.want)
		})
	}
}

func TestInvalidOrderID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"": "/orderId has 0 characters", strings.Repeat("ä", 257): "/orderId has 257 characters"} {
		_, err := order.New(id).Create(creation)
		var invalid *schemas.Error
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Each command refuses what it is given without a time, and with text that is too long for its fact.
func TestInvalidCommands(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("secret", 50)
	created, _ := after(t, "create")
	paid, _ := after(t, "create", "pay")
	shipped, _ := after(t, "create", "pay", "ship")
	cancelled, _ := after(t, "create", "pay", "cancel")
	tests := map[string]struct {
		command string
		run     func() ([]function.Payload, error)
		want    string
	}{
		"payment at no time": {"pay", func() ([]function.Payload, error) {
			return created.Pay(order.Payment{Amount: total, Currency: "EUR"})
		}, "time"},
		"payment": {"pay", func() ([]function.Payload, error) {
			return created.Pay(order.Payment{Amount: total, Currency: "EUR", TransactionID: long, At: noon})
		}, "/transactionId has 300 characters"},
		"reservation at no time": {"start processing", func() ([]function.Payload, error) {
			return paid.StartProcessing(order.Reservation{ID: "res-1"})
		}, "time"},
		"reservation": {"start processing", func() ([]function.Payload, error) {
			return paid.StartProcessing(order.Reservation{ID: long, At: noon})
		}, "/reservationId has 300 characters"},
		"shipment at no time": {"ship", func() ([]function.Payload, error) { return paid.Ship(order.Shipment{}) }, "time"},
		"shipment": {"ship", func() ([]function.Payload, error) {
			return paid.Ship(order.Shipment{TrackingNumber: long, At: noon})
		}, "/trackingNumber has 300 characters"},
		"delivery at no time":     {"deliver", func() ([]function.Payload, error) { return shipped.Deliver(time.Time{}) }, "time"},
		"cancellation at no time": {"cancel", func() ([]function.Payload, error) { return paid.Cancel(order.Cancellation{}) }, "time"},
		"cancellation": {"cancel", func() ([]function.Payload, error) {
			return paid.Cancel(order.Cancellation{Reason: strings.Repeat(long, 1000), At: noon})
		}, "more than 61440 bytes"},
		"refund at no time": {"refund", func() ([]function.Payload, error) {
			return cancelled.Refund(order.Refund{Amount: total, Currency: "EUR"})
		}, "time"},
		"refund": {"refund", func() ([]function.Payload, error) {
			return cancelled.Refund(order.Refund{Amount: total, Currency: "EUR", TransactionID: long, At: noon})
		}, "/transactionId has 300 characters"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts, err := tt.run()
			requireInvalid(t, facts, err, tt.command, tt.want)
		})
	}
}

func requireInvalid(t *testing.T, facts []function.Payload, err error, command, want string) {
	t.Helper()
	var invalid *order.InvalidError
	if facts != nil || !errors.As(err, &invalid) || invalid.OrderID != "12345" || invalid.Command != command {
		t.Fatalf("got %v, %#v, want an InvalidError of %s", facts, err, command)
	}
	text := err.Error()
	if !strings.HasPrefix(text, "order 12345, cannot "+command+": ") || !strings.Contains(text, want) || strings.Contains(text, "secret") {
		t.Errorf("got %q, want it to say %q", text, want)
	}
}
