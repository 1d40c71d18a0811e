package orderapi

import (
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
)

// orderView is an order as the API shows it. Its members have the names that they have in the events.
type orderView struct {
	OrderID         string           `json:"orderId" example:"0199a3c4-5f1e-7d3a-9c1b-2f6d8e0a4b5c"`
	CustomerID      string           `json:"customerId" example:"customer-789"`
	Status          order.Status     `json:"status" enum:"pending,paid,processing,shipped,delivered,cancelled"`
	Version         int64            `json:"version" minimum:"1" doc:"How many facts were told of the order. It is the ETag, too."`
	Amount          money.Amount     `json:"amount"`
	Currency        money.Currency   `json:"currency"`
	Items           []itemView       `json:"items" nullable:"false"`
	ShippingAddress *fact.Address    `json:"shippingAddress,omitzero"`
	OrderDate       time.Time        `json:"orderDate"`
	Payment         fact.PaymentMode `json:"payment"`
	RefundDue       money.Amount     `json:"refundDue,omitzero"`

	Paid       *paidView       `json:"paid,omitzero"`
	Processing *processingView `json:"processing,omitzero"`
	Shipped    *shippedView    `json:"shipped,omitzero"`
	Delivered  *deliveredView  `json:"delivered,omitzero"`
	Cancelled  *cancelledView  `json:"cancelled,omitzero"`
	Refunded   *refundedView   `json:"refunded,omitzero"`
}

type itemView struct {
	ProductID string       `json:"productId"`
	Quantity  int          `json:"quantity" minimum:"1"`
	Price     money.Amount `json:"price"`
}

type paidView struct {
	PaymentMethod string    `json:"paymentMethod,omitzero"`
	TransactionID string    `json:"transactionId,omitzero"`
	PaidAt        time.Time `json:"paidAt"`
}

type processingView struct {
	ReservationID string    `json:"reservationId,omitzero"`
	StartedAt     time.Time `json:"startedAt"`
}

type shippedView struct {
	TrackingNumber    string    `json:"trackingNumber,omitzero"`
	Carrier           string    `json:"carrier,omitzero"`
	EstimatedDelivery string    `json:"estimatedDelivery,omitzero"`
	ShippedAt         time.Time `json:"shippedAt"`
}

type deliveredView struct {
	DeliveredAt time.Time `json:"deliveredAt"`
}

type cancelledView struct {
	Reason       string       `json:"reason,omitzero"`
	RefundAmount money.Amount `json:"refundAmount" doc:"What the customer gets back."`
	CancelledAt  time.Time    `json:"cancelledAt"`
}

type refundedView struct {
	Amount        money.Amount `json:"amount"`
	TransactionID string       `json:"transactionId,omitzero"`
	RefundedAt    time.Time    `json:"refundedAt"`
}

// viewOf shows an order.
func viewOf(o order.Order) orderView {
	v := orderView{
		OrderID: o.ID, CustomerID: o.Created.CustomerID, Status: o.Status(), Version: o.Version,
		Amount: o.Created.Amount, Currency: money.Currency(o.Created.Currency.String()), Items: itemsOf(o.Created.Items),
		OrderDate: o.Created.OrderDate, Payment: o.Created.Payment, RefundDue: o.RefundDue(),
		Paid:       shownIf(o.Paid.OrderID, paidView{o.Paid.PaymentMethod, o.Paid.TransactionID, o.Paid.PaidAt}),
		Processing: shownIf(o.ProcessingStarted.OrderID, processingView{o.ProcessingStarted.ReservationID, o.ProcessingStarted.StartedAt}),
		Shipped: shownIf(o.Shipped.OrderID, shippedView{
			o.Shipped.TrackingNumber, o.Shipped.Carrier, o.Shipped.EstimatedDelivery, o.Shipped.ShippedAt,
		}),
		Delivered: shownIf(o.Delivered.OrderID, deliveredView{o.Delivered.DeliveredAt}),
		Cancelled: shownIf(o.Cancelled.OrderID, cancelledView{o.Cancelled.Reason, o.Cancelled.RefundAmount, o.Cancelled.CancelledAt}),
		Refunded:  shownIf(o.Refunded.OrderID, refundedView{o.Refunded.Amount, o.Refunded.TransactionID, o.Refunded.RefundedAt}),
	}
	if v.Payment == "" {
		v.Payment = fact.PaymentAutomatic
	}
	if o.Created.ShippingAddress != (fact.Address{}) {
		v.ShippingAddress = &o.Created.ShippingAddress
	}
	return v
}

// shownIf returns v where the fact that it shows was told: one that was not has no order, and no time.
func shownIf[T comparable, V any](told T, v V) *V {
	var untold T
	if told == untold {
		return nil
	}
	return &v
}

func itemsOf(items []fact.Item) []itemView {
	views := make([]itemView, len(items))
	for i, item := range items {
		views[i] = itemView(item)
	}
	return views
}
