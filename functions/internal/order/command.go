package order

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/runtime/function"
)

// MaxFactSize is how many bytes the data of a fact may have. With its attributes the event stays below the 64 KiB that
// every CloudEvents intermediary forwards (CloudEvents 1.0.2 §Size Limits).
const MaxFactSize = 60 << 10

var (
	errNoTime  = errors.New("the time at which it happened is missing")
	errNoItems = errors.New("an order has at least one item")
	errSize    = fmt.Errorf("it has more than %d bytes as JSON", MaxFactSize)
)

// Creation is what a customer orders.
type Creation struct {
	CustomerID string
	// Amount is the total. nil: the sum of the items.
	Amount *money.Amount
	// Currency is that of Amount and of the items' prices, USD by default.
	Currency money.Currency
	// Items has at least one item.
	Items           []fact.Item
	ShippingAddress fact.Address
	// Payment says who sees to the payment, automatic by default.
	Payment fact.PaymentMode
	At      time.Time
}

// Create creates the order.
func (o Order) Create(c Creation) ([]function.Payload, error) {
	if err := create.check(o); err != nil {
		return nil, err
	}
	if len(c.Items) == 0 {
		return nil, create.invalid(o, errNoItems)
	}
	amount, err := c.total()
	if err != nil {
		return nil, create.invalid(o, err)
	}
	return o.tell(create, c.At, fact.Created{
		OrderID:         o.ID,
		CustomerID:      c.CustomerID,
		Amount:          amount,
		Currency:        upper(c.Currency),
		Items:           c.Items,
		ShippingAddress: c.ShippingAddress,
		OrderDate:       c.At.UTC(),
		Payment:         c.Payment,
	})
}

// total returns the amount that was told, or what the items cost.
func (c Creation) total() (money.Amount, error) {
	if c.Amount != nil {
		return *c.Amount, nil
	}
	var total money.Amount
	for i, item := range c.Items {
		cost, err := item.Price.Mul(int64(item.Quantity))
		if err == nil {
			total, err = total.Add(cost)
		}
		if err != nil {
			return money.Amount{}, fmt.Errorf("sum of the items up to /items/%d: %w", i, err)
		}
	}
	return total, nil
}

// Payment is money that came in for the order.
type Payment struct {
	// Amount and Currency must be those of the order.
	Amount        money.Amount
	Currency      money.Currency
	Method        string
	TransactionID string
	// ByHand says that somebody took the money, not the service that charges automatic orders.
	ByHand bool
	At     time.Time
}

// Pay tells that the order is paid.
func (o Order) Pay(p Payment) ([]function.Payload, error) {
	if err := pay.check(o); err != nil {
		return nil, err
	}
	if p.ByHand && o.Created.Payment != fact.PaymentManual {
		return nil, pay.forbidden(o, PayByHand)
	}
	if !p.Amount.Equal(o.Created.Amount) || !o.sameCurrency(p.Currency) {
		return nil, pay.forbidden(o, PayInFull)
	}
	return o.tell(pay, p.At, fact.Paid{
		OrderID:       o.ID,
		CustomerID:    o.Created.CustomerID,
		Amount:        p.Amount,
		Currency:      upper(p.Currency),
		PaymentMethod: p.Method,
		TransactionID: p.TransactionID,
		PaidAt:        p.At.UTC(),
	})
}

// Reservation is goods that are set aside for the order.
type Reservation struct {
	ID string
	At time.Time
}

// StartProcessing tells that the goods of the order are set aside.
func (o Order) StartProcessing(r Reservation) ([]function.Payload, error) {
	if err := startProcessing.check(o); err != nil {
		return nil, err
	}
	return o.tell(startProcessing, r.At, fact.ProcessingStarted{
		OrderID:       o.ID,
		CustomerID:    o.Created.CustomerID,
		ReservationID: r.ID,
		StartedAt:     r.At.UTC(),
	})
}

// Shipment is the order on its way.
type Shipment struct {
	TrackingNumber string
	Carrier        string
	// EstimatedDelivery is as the carrier says it: a date, a time or words.
	EstimatedDelivery string
	At                time.Time
}

// Ship tells that the order left.
func (o Order) Ship(s Shipment) ([]function.Payload, error) {
	if err := ship.check(o); err != nil {
		return nil, err
	}
	return o.tell(ship, s.At, fact.Shipped{
		OrderID:           o.ID,
		CustomerID:        o.Created.CustomerID,
		TrackingNumber:    s.TrackingNumber,
		Carrier:           s.Carrier,
		EstimatedDelivery: s.EstimatedDelivery,
		ShippedAt:         s.At.UTC(),
	})
}

// Deliver tells that the order reached its customer.
func (o Order) Deliver(at time.Time) ([]function.Payload, error) {
	if err := deliver.check(o); err != nil {
		return nil, err
	}
	return o.tell(deliver, at, fact.Delivered{OrderID: o.ID, CustomerID: o.Created.CustomerID, DeliveredAt: at.UTC()})
}

// Cancellation is why and when the order is called off.
type Cancellation struct {
	Reason string
	At     time.Time
}

// Cancel calls the order off. The customer is to get back what was paid.
func (o Order) Cancel(c Cancellation) ([]function.Payload, error) {
	if err := cancel.check(o); err != nil {
		return nil, err
	}
	return o.tell(cancel, c.At, fact.Cancelled{
		OrderID:       o.ID,
		CustomerID:    o.Created.CustomerID,
		Reason:        c.Reason,
		RefundAmount:  o.Paid.Amount,
		Currency:      o.Created.Currency,
		TransactionID: o.Paid.TransactionID,
		CancelledAt:   c.At.UTC(),
	})
}

// Refund is money that the customer got back.
type Refund struct {
	// Amount must be all that is due, Currency that of the order.
	Amount   money.Amount
	Currency money.Currency
	// TransactionID is that of the refund, not of the payment.
	TransactionID string
	At            time.Time
}

// Refund tells that the customer of the cancelled order got back what was due.
func (o Order) Refund(r Refund) ([]function.Payload, error) {
	if err := refund.check(o); err != nil {
		return nil, err
	}
	due := o.RefundDue()
	if due.IsZero() || !r.Amount.Equal(due) || !o.sameCurrency(r.Currency) {
		return nil, refund.forbidden(o, RefundWhatIsDue)
	}
	return o.tell(refund, r.At, fact.Refunded{
		OrderID:       o.ID,
		CustomerID:    o.Created.CustomerID,
		Amount:        r.Amount,
		Currency:      upper(r.Currency),
		TransactionID: r.TransactionID,
		RefundedAt:    r.At.UTC(),
	})
}

// tell returns told as it will be read from the store, where it fits its schema: an order is the same, whether its facts
// come from commands or were stored.
func (o Order) tell(c command, at time.Time, told function.Payload) ([]function.Payload, error) {
	if at.IsZero() {
		return nil, c.invalid(o, errNoTime)
	}
	data, err := json.Marshal(told)
	if err != nil {
		return nil, c.invalid(o, err)
	}
	if len(data) > MaxFactSize {
		return nil, c.invalid(o, errSize)
	}
	read, err := Decode(told.EventType(), data)
	if err != nil {
		return nil, c.invalid(o, err)
	}
	return []function.Payload{read}, nil
}

func (o Order) sameCurrency(c money.Currency) bool { return c.String() == o.Created.Currency.String() }

// upper writes the currency out, that of the zero value too.
func upper(c money.Currency) money.Currency { return money.Currency(c.String()) }
