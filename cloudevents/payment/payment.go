// Package payment has the facts about the payment of orders. They are part of an order's story: they go to the orders'
// topic, with the order's id as subject and key, so that they are read in their order with the other facts of the order.
//
// It imports cloudevents/money and cloudevents/order; nothing of the runtime.
package payment

import (
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
)

// Topic is where events about payments are published: that of the orders they pay.
const Topic = order.Topic

// The CloudEvents types of this package.
const (
	ProcessedType = "dev.millrace.payment.processed.v1"
	FailedType    = "dev.millrace.payment.failed.v1"
	RefundedType  = "dev.millrace.payment.refunded.v1"
)

// Processed says that the money for an order came in.
type Processed struct {
	OrderID       string         `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID    string         `json:"customerId,omitzero" jsonschema:"maxLength=256"`
	PaymentID     string         `json:"paymentId,omitzero" jsonschema:"maxLength=256"`
	TransactionID string         `json:"transactionId,omitzero" jsonschema:"maxLength=256"`
	Amount        money.Amount   `json:"amount" jsonschema:"required"`
	Currency      money.Currency `json:"currency,omitzero"`
	PaymentMethod string         `json:"paymentMethod,omitzero"`
	ProcessedAt   time.Time      `json:"processedAt,omitzero"`
}

// Failed says that the money for an order could not be had.
type Failed struct {
	OrderID       string         `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID    string         `json:"customerId,omitzero" jsonschema:"maxLength=256"`
	PaymentID     string         `json:"paymentId,omitzero" jsonschema:"maxLength=256"`
	Amount        money.Amount   `json:"amount,omitzero"`
	Currency      money.Currency `json:"currency,omitzero"`
	PaymentMethod string         `json:"paymentMethod,omitzero"`
	Reason        string         `json:"reason,omitzero"`
	FailedAt      time.Time      `json:"failedAt,omitzero"`
}

// Refunded says that the customer got money back.
type Refunded struct {
	OrderID       string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	CustomerID    string `json:"customerId,omitzero" jsonschema:"maxLength=256"`
	PaymentID     string `json:"paymentId,omitzero" jsonschema:"maxLength=256"`
	TransactionID string `json:"transactionId,omitzero" jsonschema:"maxLength=256"`
	// Amount is what was given back, not what had been paid.
	Amount     money.Amount   `json:"amount" jsonschema:"required"`
	Currency   money.Currency `json:"currency,omitzero"`
	Reason     string         `json:"reason,omitzero"`
	RefundedAt time.Time      `json:"refundedAt,omitzero"`
}

// EventType returns [ProcessedType].
func (Processed) EventType() string { return ProcessedType }

// AggregateID returns the order's id.
func (p Processed) AggregateID() string { return p.OrderID }

// EventType returns [FailedType].
func (Failed) EventType() string { return FailedType }

// AggregateID returns the order's id.
func (f Failed) AggregateID() string { return f.OrderID }

// EventType returns [RefundedType].
func (Refunded) EventType() string { return RefundedType }

// AggregateID returns the order's id.
func (r Refunded) AggregateID() string { return r.OrderID }
