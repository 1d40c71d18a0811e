package notification

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
)

// The names of the templates.
const (
	TemplateOrderConfirmation   = "order_confirmation"
	TemplatePaymentConfirmation = "payment_confirmation"
	TemplateOrderShipped        = "order_shipped"
	TemplateOrderCancelled      = "order_cancelled"
	TemplateWelcome             = "welcome"
	TemplateProductOutOfStock   = "product_out_of_stock"
)

// Content is what a template is filled with. It is a struct that JSON writes as an object.
type Content interface {
	// Template names the template that the content fits.
	Template() string
}

// With returns r with the template and the data of c. It fails when c cannot be written as a JSON object.
func (r Requested) With(c Content) (Requested, error) {
	data, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return Requested{}, fmt.Errorf("content of template %s: %w", c.Template(), err)
	}
	if len(data) == 0 || data[0] != '{' {
		return Requested{}, fmt.Errorf("content of template %s is not a JSON object", c.Template())
	}
	r.Template, r.Data = c.Template(), data
	return r, nil
}

// OrderConfirmation tells a customer that an order came in.
type OrderConfirmation struct {
	OrderID   string         `json:"orderId"`
	Amount    money.Amount   `json:"amount"`
	Currency  money.Currency `json:"currency,omitzero"`
	OrderDate time.Time      `json:"orderDate"`
}

// PaymentConfirmation tells a customer that an order is paid.
type PaymentConfirmation struct {
	OrderID       string    `json:"orderId"`
	PaymentMethod string    `json:"paymentMethod,omitzero"`
	PaidAt        time.Time `json:"paidAt"`
}

// OrderShipped tells a customer that an order is on its way.
type OrderShipped struct {
	OrderID           string `json:"orderId"`
	TrackingNumber    string `json:"trackingNumber,omitzero"`
	EstimatedDelivery string `json:"estimatedDelivery,omitzero"`
}

// OrderCancelled tells a customer that an order was called off.
type OrderCancelled struct {
	OrderID      string         `json:"orderId"`
	Reason       string         `json:"reason,omitzero"`
	RefundAmount money.Amount   `json:"refundAmount,omitzero"`
	Currency     money.Currency `json:"currency,omitzero"`
	CancelledAt  time.Time      `json:"cancelledAt"`
}

// Welcome greets a new user.
type Welcome struct {
	FirstName    string    `json:"firstName,omitzero"`
	Email        string    `json:"email,omitzero"`
	RegisteredAt time.Time `json:"registeredAt"`
}

// ProductOutOfStock tells the shop's own people that a product ran out.
type ProductOutOfStock struct {
	ProductID    string    `json:"productId"`
	ProductName  string    `json:"productName,omitzero"`
	OutOfStockAt time.Time `json:"outOfStockAt"`
}

// Template returns [TemplateOrderConfirmation].
func (OrderConfirmation) Template() string { return TemplateOrderConfirmation }

// Template returns [TemplatePaymentConfirmation].
func (PaymentConfirmation) Template() string { return TemplatePaymentConfirmation }

// Template returns [TemplateOrderShipped].
func (OrderShipped) Template() string { return TemplateOrderShipped }

// Template returns [TemplateOrderCancelled].
func (OrderCancelled) Template() string { return TemplateOrderCancelled }

// Template returns [TemplateWelcome].
func (Welcome) Template() string { return TemplateWelcome }

// Template returns [TemplateProductOutOfStock].
func (ProductOutOfStock) Template() string { return TemplateProductOutOfStock }
