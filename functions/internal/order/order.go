package order

import (
	fact "github.com/millrace/millrace/cloudevents/order"

	"github.com/millrace/millrace/cloudevents/money"
)

// Status is how far an order has come.
type Status string

// The statuses of an order.
const (
	// None: the order is not created yet.
	None Status = ""
	// Pending: the order waits for its payment.
	Pending Status = "pending"
	// Paid: the money came in; the goods are not set aside yet.
	Paid Status = "paid"
	// Processing: the order is paid, and its goods are set aside.
	Processing Status = "processing"
	// Shipped: the order is on its way.
	Shipped Status = "shipped"
	// Delivered: the order reached its customer.
	Delivered Status = "delivered"
	// Cancelled: the order was called off.
	Cancelled Status = "cancelled"
)

// Order is an order as its facts tell it. It is a value: commands and Apply leave it as it is, and it may be read
// concurrently. Nobody but Apply sets its fields.
type Order struct {
	// ID is the id of the order, also while it is not created yet.
	ID string
	// Version is how many facts were told of the order: what an append expects the stream to have. 0: no stream.
	Version int64

	// What was told, empty where it was not.
	Created           fact.Created
	Paid              fact.Paid
	ProcessingStarted fact.ProcessingStarted
	Shipped           fact.Shipped
	Delivered         fact.Delivered
	Cancelled         fact.Cancelled
	Refunded          fact.Refunded
}

// New returns the order id before anything happened to it.
func New(id string) Order { return Order{ID: id} }

// Status returns how far the order has come.
func (o Order) Status() Status {
	switch {
	case o.Cancelled.OrderID != "":
		return Cancelled
	case o.Delivered.OrderID != "":
		return Delivered
	case o.Shipped.OrderID != "":
		return Shipped
	case o.ProcessingStarted.OrderID != "":
		return Processing
	case o.Paid.OrderID != "":
		return Paid
	case o.Created.OrderID != "":
		return Pending
	}
	return None
}

// RefundDue returns what the customer of a cancelled order is still to get back, 0 if nothing.
func (o Order) RefundDue() money.Amount {
	if o.Refunded.OrderID != "" {
		return money.Amount{}
	}
	return o.Cancelled.RefundAmount
}
