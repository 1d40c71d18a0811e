// Package product has the facts about what the shop sells.
//
// It imports cloudevents/money; nothing of the runtime.
package product

import (
	"time"

	"github.com/millrace/millrace/cloudevents/money"
)

// Topic is where events about products are published. The product's id is the key.
const Topic = "product-events"

// The CloudEvents types of this package.
const (
	UpdatedType      = "dev.millrace.product.updated.v1"
	PriceChangedType = "dev.millrace.product.price-changed.v1"
	OutOfStockType   = "dev.millrace.product.out-of-stock.v1"
)

// Updated gives a product as it is now.
type Updated struct {
	ProductID   string         `json:"productId" jsonschema:"required,minLength=1,maxLength=256"`
	ProductName string         `json:"productName,omitzero"`
	Description string         `json:"description,omitzero"`
	Category    string         `json:"category,omitzero"`
	Price       money.Amount   `json:"price,omitzero"`
	Currency    money.Currency `json:"currency,omitzero"`
	UpdatedAt   time.Time      `json:"updatedAt,omitzero"`
}

// PriceChanged says that a product costs something else from now on.
type PriceChanged struct {
	ProductID   string         `json:"productId" jsonschema:"required,minLength=1,maxLength=256"`
	ProductName string         `json:"productName,omitzero"`
	OldPrice    money.Amount   `json:"oldPrice,omitzero"`
	NewPrice    money.Amount   `json:"newPrice" jsonschema:"required"`
	Currency    money.Currency `json:"currency,omitzero"`
	ChangedAt   time.Time      `json:"changedAt,omitzero"`
}

// OutOfStock says that the last piece of a product is gone.
type OutOfStock struct {
	ProductID    string    `json:"productId" jsonschema:"required,minLength=1,maxLength=256"`
	ProductName  string    `json:"productName,omitzero"`
	OutOfStockAt time.Time `json:"outOfStockAt,omitzero"`
}

// EventType returns [UpdatedType].
func (Updated) EventType() string { return UpdatedType }

// AggregateID returns the product's id.
func (u Updated) AggregateID() string { return u.ProductID }

// EventType returns [PriceChangedType].
func (PriceChanged) EventType() string { return PriceChangedType }

// AggregateID returns the product's id.
func (p PriceChanged) AggregateID() string { return p.ProductID }

// EventType returns [OutOfStockType].
func (OutOfStock) EventType() string { return OutOfStockType }

// AggregateID returns the product's id.
func (o OutOfStock) AggregateID() string { return o.ProductID }
