// Package inventory has the facts about the goods that are set aside for orders. They are part of an order's story: they
// go to the orders' topic, with the order's id as subject and key, so that they are read in their order with the other
// facts of the order.
//
// It imports cloudevents/order; nothing of the runtime.
package inventory

import (
	"time"

	"github.com/millrace/millrace/cloudevents/order"
)

// Topic is where events about reservations are published: that of the orders they are for.
const Topic = order.Topic

// The CloudEvents types of this package.
const (
	ReservedType = "dev.millrace.inventory.reserved.v1"
	RejectedType = "dev.millrace.inventory.rejected.v1"
	ReleasedType = "dev.millrace.inventory.released.v1"
)

// Item is a number of pieces of one product.
type Item struct {
	ProductID string `json:"productId" jsonschema:"required,minLength=1,maxLength=256"`
	Quantity  int    `json:"quantity" jsonschema:"required,minimum=1,maximum=1000000000"`
}

// Reserved says that all goods of an order are set aside.
type Reserved struct {
	OrderID       string    `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	ReservationID string    `json:"reservationId,omitzero" jsonschema:"maxLength=256"`
	Items         []Item    `json:"items,omitzero"`
	ReservedAt    time.Time `json:"reservedAt,omitzero"`
}

// Rejected says that an order cannot be served from stock.
type Rejected struct {
	OrderID string `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	// Items are those that are missing.
	Items      []Item    `json:"items,omitzero"`
	Reason     string    `json:"reason,omitzero"`
	RejectedAt time.Time `json:"rejectedAt,omitzero"`
}

// Released says that goods that were set aside are free again.
type Released struct {
	OrderID       string    `json:"orderId" jsonschema:"required,minLength=1,maxLength=256"`
	ReservationID string    `json:"reservationId,omitzero" jsonschema:"maxLength=256"`
	Items         []Item    `json:"items,omitzero"`
	Reason        string    `json:"reason,omitzero"`
	ReleasedAt    time.Time `json:"releasedAt,omitzero"`
}

// EventType returns [ReservedType].
func (Reserved) EventType() string { return ReservedType }

// AggregateID returns the order's id.
func (r Reserved) AggregateID() string { return r.OrderID }

// EventType returns [RejectedType].
func (Rejected) EventType() string { return RejectedType }

// AggregateID returns the order's id.
func (r Rejected) AggregateID() string { return r.OrderID }

// EventType returns [ReleasedType].
func (Released) EventType() string { return ReleasedType }

// AggregateID returns the order's id.
func (r Released) AggregateID() string { return r.OrderID }
