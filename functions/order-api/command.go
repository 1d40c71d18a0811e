package orderapi

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

// creation is what a customer orders. The order's id is the service's to choose.
type creation struct {
	CustomerID      id               `json:"customerId" example:"customer-789"`
	Items           []newItem        `json:"items" minItems:"1" maxItems:"200" nullable:"false"`
	Amount          *money.Amount    `json:"amount,omitzero" maximum:"1000000000000" doc:"The total. Default: what the items cost."`
	Currency        money.Currency   `json:"currency,omitzero"`
	ShippingAddress fact.Address     `json:"shippingAddress,omitzero"`
	Payment         fact.PaymentMode `json:"payment,omitzero"`
}

// newItem is a line of a creation.
type newItem struct {
	ProductID id           `json:"productId" example:"prod-4"`
	Quantity  int          `json:"quantity" minimum:"1" maximum:"1000000000" example:"2"`
	Price     money.Amount `json:"price" maximum:"1000000000000" doc:"The price of one piece: a decimal number of at most 19 digits, which is kept exactly as it is written."`
}

// payment is money that somebody took for an order that is paid by hand.
type payment struct {
	Amount        *money.Amount  `json:"amount,omitzero" maximum:"1000000000000" doc:"Must be the amount of the order, which is the default."`
	Currency      money.Currency `json:"currency,omitzero" doc:"Must be the currency of the order, which is the default."`
	PaymentMethod line           `json:"paymentMethod,omitzero" example:"cash"`
	TransactionID id             `json:"transactionId" example:"txn-1"`
}

type shipment struct {
	TrackingNumber    id   `json:"trackingNumber" example:"1Z999"`
	Carrier           line `json:"carrier,omitzero" example:"UPS"`
	EstimatedDelivery line `json:"estimatedDelivery,omitzero" doc:"As the carrier says it: a date, a time or words." example:"2026-12-01"`
}

// delivery has no members yet.
type delivery struct{}

type cancellation struct {
	Reason line `json:"reason,omitzero" example:"changed my mind"`
}

// Flow is what each request may say about where it belongs. huma finds parameters in exported structs only.
type Flow struct {
	Correlation correlationID `header:"X-Correlation-ID"` //nolint:tagliatelle // as people write it
}

// createInput is a request for an order.
type createInput struct {
	Flow

	Key  idempotencyKey `header:"Idempotency-Key"`
	Body creation
}

// changeInput is a request to change an order.
type changeInput[B any] struct {
	Flow

	ID      id             `path:"id" example:"0199a3c4-5f1e-7d3a-9c1b-2f6d8e0a4b5c"`
	Key     idempotencyKey `header:"Idempotency-Key"`
	IfMatch ifMatch        `header:"If-Match"`
	Body    B
}

// task is a change that was asked for.
type task struct {
	orderID string
	key     string
	ifMatch ifMatch
	at      time.Time
	// creates: there is no such order yet.
	creates bool
	decide  orderstore.Decide
}

// registerCommands has the API change orders.
func (s *shop) registerCommands(api huma.API, d describer) {
	huma.Register(api, d.creation("createOrder", pathOrders, "Place an order",
		"The order gets an id, is charged unless its payment is manual, and its goods are set aside."), s.createOrder)
	huma.Register(api, d.change("processPayment", "/payment", "Tell that an order was paid by hand",
		"Only an order whose payment is manual is paid so, in full and in its currency."), change(s, payment.pay))
	huma.Register(api, d.change("shipOrder", "/shipment", "Tell that an order left",
		"Only a paid order is shipped."), change(s, shipment.ship))
	huma.Register(api, d.change("deliverOrder", "/delivery", "Tell that an order reached its customer",
		"Only a shipped order is delivered."), change(s, (*delivery).deliver))
	huma.Register(api, d.change("cancelOrder", "/cancellation", "Call an order off",
		"An order is cancelled before it is shipped. What was paid is given back, and goods that were set aside are released."),
		change(s, (*cancellation).cancel))
}

// change returns what answers requests to change an order: command says what body asks of the order.
func change[B any](
	s *shop, command func(body B, o order.Order, now time.Time) ([]function.Payload, error),
) func(context.Context, *changeInput[B]) (*reply, error) {
	return func(ctx context.Context, in *changeInput[B]) (*reply, error) {
		t := task{orderID: string(in.ID), key: in.Key.name(), ifMatch: in.IfMatch, at: time.Now()}
		t.decide = func(o order.Order) ([]function.Payload, error) { return command(in.Body, o, t.at) }
		return s.perform(ctx, t)
	}
}

func (s *shop) createOrder(ctx context.Context, in *createInput) (*reply, error) {
	t := task{orderID: newID(), key: in.Key.name(), at: time.Now(), creates: true}
	t.decide = func(o order.Order) ([]function.Payload, error) { return o.Create(in.Body.at(t.at)) }
	return s.perform(ctx, t)
}

func (c *creation) at(now time.Time) order.Creation {
	items := make([]fact.Item, len(c.Items))
	for i, item := range c.Items {
		items[i] = fact.Item{ProductID: string(item.ProductID), Quantity: item.Quantity, Price: item.Price}
	}
	return order.Creation{
		CustomerID: string(c.CustomerID), Amount: c.Amount, Currency: c.Currency, Items: items, ShippingAddress: c.ShippingAddress,
		Payment: c.Payment, At: now,
	}
}

func (p payment) pay(o order.Order, now time.Time) ([]function.Payload, error) {
	paid := order.Payment{
		Amount: o.Created.Amount, Currency: o.Created.Currency, Method: string(p.PaymentMethod), TransactionID: string(p.TransactionID),
		ByHand: true, At: now,
	}
	if p.Amount != nil {
		paid.Amount = *p.Amount
	}
	if p.Currency != "" {
		paid.Currency = p.Currency
	}
	return o.Pay(paid)
}

func (s shipment) ship(o order.Order, now time.Time) ([]function.Payload, error) {
	return o.Ship(order.Shipment{
		TrackingNumber: string(s.TrackingNumber), Carrier: string(s.Carrier), EstimatedDelivery: string(s.EstimatedDelivery), At: now,
	})
}

func (*delivery) deliver(o order.Order, now time.Time) ([]function.Payload, error) {
	return o.Deliver(now)
}

// cancel cancels without a reason where there is no body.
func (c *cancellation) cancel(o order.Order, now time.Time) ([]function.Payload, error) {
	cancelled := order.Cancellation{At: now}
	if c != nil {
		cancelled.Reason = string(c.Reason)
	}
	return o.Cancel(cancelled)
}
