package order_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
)

// payload is what function.Emit takes, written down again so that the payloads do not depend on the runtime.
type payload interface {
	EventType() string
	AggregateID() string
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]payload{
		"dev.millrace.order.created.v1":            order.Created{OrderID: "o-1", CustomerID: "c-1"},
		"dev.millrace.order.paid.v1":               order.Paid{OrderID: "o-1", CustomerID: "c-1"},
		"dev.millrace.order.processing-started.v1": order.ProcessingStarted{OrderID: "o-1", CustomerID: "c-1"},
		"dev.millrace.order.shipped.v1":            order.Shipped{OrderID: "o-1", CustomerID: "c-1"},
		"dev.millrace.order.delivered.v1":          order.Delivered{OrderID: "o-1", CustomerID: "c-1"},
		"dev.millrace.order.cancelled.v1":          order.Cancelled{OrderID: "o-1", CustomerID: "c-1"},
		"dev.millrace.order.refunded.v1":           order.Refunded{OrderID: "o-1", CustomerID: "c-1"},
	} {
		if p.EventType() != want || p.AggregateID() != "o-1" {
			t.Errorf("%T has type %s and aggregate %s", p, p.EventType(), p.AggregateID())
		}
	}
}

// The load test of the tutorial sends neither currency nor address nor date.
func TestCreatedOfTheLoadTest(t *testing.T) {
	t.Parallel()
	const data = `{"orderId":"order-17","customerId":"customer-789","amount":310,` +
		`"items":[{"productId":"prod-4","quantity":3,"price":77}]}`
	var got order.Created
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatal(err)
	}
	want := order.Created{
		OrderID:    "order-17",
		CustomerID: "customer-789",
		Amount:     money.MustParse("310"),
		Items:      []order.Item{{ProductID: "prod-4", Quantity: 3, Price: money.MustParse("77")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Currency.String() != "USD" {
		t.Errorf("the currency is %s", got.Currency)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(data, string(again)); diff != "" {
		t.Error(diff)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want order.Address
		out  string
	}{
		"object":               {`{"street":"1 Main St","postalCode":"62701"}`, order.Address{Street: "1 Main St", PostalCode: "62701"}, `{"street":"1 Main St","postalCode":"62701"}`},
		"one line":             {`"1 Main St, 62701"`, order.Address{Line: "1 Main St, 62701"}, `"1 Main St, 62701"`},
		"members nobody named": {`{"zipCode":"62701","city":"Springfield"}`, order.Address{City: "Springfield"}, `{"city":"Springfield"}`},
		"empty object":         {`{}`, order.Address{}, `{}`},
		"empty line":           {`""`, order.Address{}, `{}`},
		"null":                 {`null`, order.Address{}, `{}`},
		"null inside":          {`{"city":null}`, order.Address{}, `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := order.Address{Line: "left over", City: "left over"}
			if err := json.Unmarshal([]byte(tt.in), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			out, err := json.Marshal(got)
			if err != nil || string(out) != tt.out {
				t.Errorf("written as %s, %v; want %s", out, err, tt.out)
			}
		})
	}
	for _, in := range []string{`1`, `[]`, `true`, `{"city":1}`, `{"city":"a","city":"b"}`} {
		var a order.Address
		if err := json.Unmarshal([]byte(in), &a); err == nil {
			t.Errorf("%s was read as %+v", in, a)
		}
	}
}

// Each order that a program makes fits the schema, and comes back as it was.
func TestCreatedComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		placed := orders().Draw(t, "order")
		data, err := json.Marshal(placed)
		if err != nil {
			t.Fatal(err)
		}
		if err := schemas.Validate(order.CreatedType, data); err != nil {
			t.Fatal(err)
		}
		var again order.Created
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(placed, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func orders() *rapid.Generator[order.Created] {
	text := rapid.StringN(0, 40, -1)
	id := rapid.StringN(1, 256, -1)
	amount := rapid.Custom(func(t *rapid.T) money.Amount {
		units, scale := rapid.Int64Min(0).Draw(t, "units"), rapid.IntRange(0, 4).Draw(t, "scale")
		a, err := money.New(units, scale)
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
	item := rapid.Custom(func(t *rapid.T) order.Item {
		return order.Item{
			ProductID: id.Draw(t, "product"),
			Quantity:  rapid.IntRange(1, 1e9).Draw(t, "quantity"),
			Price:     amount.Draw(t, "price"),
		}
	})
	address := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) order.Address { return order.Address{Line: text.Draw(t, "line")} }),
		rapid.Custom(func(t *rapid.T) order.Address {
			return order.Address{Street: text.Draw(t, "street"), City: text.Draw(t, "city"), Country: text.Draw(t, "country")}
		}),
	)
	return rapid.Custom(func(t *rapid.T) order.Created {
		return order.Created{
			OrderID:         id.Draw(t, "order"),
			CustomerID:      id.Draw(t, "customer"),
			Amount:          amount.Draw(t, "amount"),
			Currency:        rapid.SampledFrom([]money.Currency{"", "USD", "EUR"}).Draw(t, "currency"),
			Items:           rapid.SliceOfN(item, 1, 5).Draw(t, "items"),
			ShippingAddress: address.Draw(t, "address"),
			OrderDate:       time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "date"), 0).UTC(),
			Payment:         rapid.SampledFrom([]order.PaymentMode{"", order.PaymentAutomatic, order.PaymentManual}).Draw(t, "payment"),
		}
	})
}
