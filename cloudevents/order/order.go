// Package order has the facts of an order's life: placed, paid, being processed, shipped, delivered; or cancelled, and its
// money given back. They are published on one topic with the order's id as the key, so that they are read in the order in
// which they happened.
//
// It imports cloudevents/money and the JSON packages; nothing of the runtime.
package order

import (
	"time"

	"github.com/millrace/millrace/cloudevents/money"
)

// Topic is where events about orders are published, those of the packages payment and inventory among them.
const Topic = "order-events"

// The CloudEvents types of this package.
const (
	CreatedType           = "dev.millrace.order.created.v1"
	PaidType              = "dev.millrace.order.paid.v1"
	ProcessingStartedType = "dev.millrace.order.processing-started.v1"
	ShippedType           = "dev.millrace.order.shipped.v1"
	DeliveredType         = "dev.millrace.order.delivered.v1"
	CancelledType         = "dev.millrace.order.cancelled.v1"
	RefundedType          = "dev.millrace.order.refunded.v1"
)

// PaymentMode says who sees to it that an order is paid. The zero value stands for [PaymentAutomatic].
type PaymentMode string

const (
	// PaymentAutomatic has the order charged as soon as it is placed.
	PaymentAutomatic PaymentMode = "automatic"
	// PaymentManual has the order wait until somebody tells that it was paid. Nothing is charged.
	PaymentManual PaymentMode = "manual"
)

// Created says that a customer placed an order.
type Created struct {
	OrderID    string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID string `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	// Amount is the total of the order.
	Amount money.Amount `json:"amount" jsonschema:"required"`
	// Currency is that of Amount and of the items' prices.
	Currency        money.Currency `json:"currency,omitzero"`
	Items           []Item         `json:"items,omitzero"`
	ShippingAddress Address        `json:"shippingAddress,omitzero"`
	OrderDate       time.Time      `json:"orderDate,omitzero"`
	// Payment is automatic, which is also what a missing one means, or manual.
	Payment PaymentMode `json:"payment,omitzero" jsonschema:"pattern=^(automatic|manual)$"`
}

// Item is one line of an order.
type Item struct {
	ProductID string `json:"productId" jsonschema:"required,minLength=1,maxLength=256"`
	Quantity  int    `json:"quantity" jsonschema:"required,minimum=1,maximum=1000000000"`
	// Price is that of one piece.
	Price money.Amount `json:"price,omitzero"`
}

// Paid says that an order was paid.
type Paid struct {
	OrderID       string         `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID    string         `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	Amount        money.Amount   `json:"amount,omitzero"`
	Currency      money.Currency `json:"currency,omitzero"`
	PaymentMethod string         `json:"paymentMethod,omitzero"`
	TransactionID string         `json:"transactionId,omitzero" jsonschema:"maxLength=256"`
	PaidAt        time.Time      `json:"paidAt,omitzero"`
}

// ProcessingStarted says that the goods of a paid order are set aside: it can be packed.
type ProcessingStarted struct {
	OrderID    string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID string `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	// ReservationID names the goods that are set aside.
	ReservationID string    `json:"reservationId,omitzero" jsonschema:"maxLength=256"`
	StartedAt     time.Time `json:"startedAt,omitzero"`
}

// Shipped says that an order left for its customer.
type Shipped struct {
	OrderID        string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID     string `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	TrackingNumber string `json:"trackingNumber,omitzero" jsonschema:"maxLength=256"`
	Carrier        string `json:"carrier,omitzero"`
	// EstimatedDelivery is as the carrier says it: a date, a time or words.
	EstimatedDelivery string    `json:"estimatedDelivery,omitzero"`
	ShippedAt         time.Time `json:"shippedAt,omitzero"`
}

// Delivered says that an order reached its customer.
type Delivered struct {
	OrderID     string    `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID  string    `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	DeliveredAt time.Time `json:"deliveredAt,omitzero"`
}

// Cancelled says that an order was called off.
type Cancelled struct {
	OrderID    string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID string `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	Reason     string `json:"reason,omitzero"`
	// RefundAmount is what the customer gets back, 0 if nothing.
	RefundAmount money.Amount   `json:"refundAmount,omitzero"`
	Currency     money.Currency `json:"currency,omitzero"`
	// TransactionID is that of the payment that RefundAmount is given back of.
	TransactionID string    `json:"transactionId,omitzero" jsonschema:"maxLength=256"`
	CancelledAt   time.Time `json:"cancelledAt,omitzero"`
}

// Refunded says that the customer of a cancelled order got money back.
type Refunded struct {
	OrderID    string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID string `json:"customerId" jsonschema:"required,minLength=1,maxLength=256"`
	// Amount is what was given back this time.
	Amount   money.Amount   `json:"amount" jsonschema:"required"`
	Currency money.Currency `json:"currency,omitzero"`
	// TransactionID is that of the refund, not of the payment.
	TransactionID string    `json:"transactionId,omitzero" jsonschema:"maxLength=256"`
	RefundedAt    time.Time `json:"refundedAt,omitzero"`
}

// EventType returns [CreatedType].
func (Created) EventType() string { return CreatedType }

// AggregateID returns the order's id.
func (c Created) AggregateID() string { return c.OrderID }

// EventType returns [PaidType].
func (Paid) EventType() string { return PaidType }

// AggregateID returns the order's id.
func (p Paid) AggregateID() string { return p.OrderID }

// EventType returns [ProcessingStartedType].
func (ProcessingStarted) EventType() string { return ProcessingStartedType }

// AggregateID returns the order's id.
func (p ProcessingStarted) AggregateID() string { return p.OrderID }

// EventType returns [ShippedType].
func (Shipped) EventType() string { return ShippedType }

// AggregateID returns the order's id.
func (s Shipped) AggregateID() string { return s.OrderID }

// EventType returns [DeliveredType].
func (Delivered) EventType() string { return DeliveredType }

// AggregateID returns the order's id.
func (d Delivered) AggregateID() string { return d.OrderID }

// EventType returns [CancelledType].
func (Cancelled) EventType() string { return CancelledType }

// AggregateID returns the order's id.
func (c Cancelled) AggregateID() string { return c.OrderID }

// EventType returns [RefundedType].
func (Refunded) EventType() string { return RefundedType }

// AggregateID returns the order's id.
func (r Refunded) AggregateID() string { return r.OrderID }
