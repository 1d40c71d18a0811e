package payment

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	fact "github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/payment/internal/provider"
)

// state is how far the payment of an order has come. It never goes back.
type state string

const (
	// waiting: the order is manual, and nobody has paid it.
	waiting state = "waiting"
	// charging: the provider may have been asked for the money.
	charging state = "charging"
	// charged: the money came in.
	charged state = "charged"
	// rejected: it did, the goods are not there, and nobody has told yet that they follow the order.
	rejected state = "rejected"
	// followed: it did, and the order was told as paid by it. Whoever did so tells when the order is called off, too.
	followed state = "followed"
	// declined: the provider refused the charge.
	declined state = "declined"
	// refunding: the provider may have been asked to give the money back.
	refunding state = "refunding"
	// refunded: the money went back.
	refunded state = "refunded"
	// cancelled: the order was called off while nothing had come in.
	cancelled state = "cancelled"
)

// payment is the row of an order.
type payment struct {
	orderID    string
	state      state
	customerID string
	// id and refundID name the charge and the refund towards the provider. They are read from the row, so that a release that
	// makes them otherwise does not change those that are under way.
	id, refundID string
	amount       money.Amount
	currency     money.Currency
	// byHand says that somebody else took the money.
	byHand        bool
	method        string
	transactionID string
	// reason is why the charge was declined, or why the order was called off.
	reason string
	// refundDue is when the chore gives the money back, in microseconds since 1970, and rejection the event that it answers
	// then, without its data. 0: it does not.
	refundDue int64
	rejection string
}

// newPayment returns a row for an order. Ids follow from the order's, so that they are the same whoever makes them.
func newPayment(s state, orderID, customerID string) payment {
	sum := sha256.Sum256([]byte(orderID))
	digest := hex.EncodeToString(sum[:16])
	return payment{
		orderID: orderID, state: s, customerID: customerID, id: "pay_" + digest, refundID: "ref_" + digest,
		currency: money.DefaultCurrency,
	}
}

// of returns p over an amount.
func (p payment) of(a money.Amount, c money.Currency) payment {
	p.amount, p.currency = a, money.Currency(c.String())
	return p
}

// paidBy returns p with what somebody else took. What is not told of it stays as it is in p.
func (p payment) paidBy(told order.Paid) payment {
	p.byHand, p.method, p.transactionID = true, provider.Line(told.PaymentMethod), told.TransactionID
	p.customerID = cmp.Or(told.CustomerID, p.customerID)
	if !told.Amount.IsZero() {
		p = p.of(told.Amount, cmp.Or(told.Currency, p.currency))
	}
	return p
}

// in returns p in another state. What rejected the order is remembered as long as its money is still to go back.
func (p payment) in(s state) payment {
	if p.state = s; s != rejected && s != refunding {
		p = p.leftAlone()
	}
	return p
}

// leftAlone returns p with nothing for the chore to do.
func (p payment) leftAlone() payment {
	p.refundDue, p.rejection = 0, ""
	return p
}

// isAbout tells whether p is over an amount, whatever digits end it.
func (p payment) isAbout(a money.Amount, c money.Currency) bool {
	return p.amount.Equal(a) && p.currency.String() == c.String()
}

// cameIn tells whether the money for the order came in, and may have gone back since.
func (p payment) cameIn() bool {
	switch p.state {
	case charged, rejected, followed, refunding, refunded:
		return true
	case waiting, charging, declined, cancelled:
	}
	return false
}

// processed tells that the money came in.
func (p payment) processed(at time.Time) fact.Processed {
	return fact.Processed{
		OrderID: p.orderID, CustomerID: p.customerID, PaymentID: p.id, TransactionID: p.transactionID, Amount: p.amount,
		Currency: p.currency, PaymentMethod: p.method, ProcessedAt: at,
	}
}

// failed tells that it could not be had.
func (p payment) failed(at time.Time) fact.Failed {
	return fact.Failed{
		OrderID: p.orderID, CustomerID: p.customerID, PaymentID: p.id, Amount: p.amount, Currency: p.currency, Reason: p.reason,
		FailedAt: at,
	}
}

// refunded tells that it went back, by the transaction of the refund.
func (p payment) refunded(transactionID string, at time.Time) fact.Refunded {
	return fact.Refunded{
		OrderID: p.orderID, CustomerID: p.customerID, PaymentID: p.id, TransactionID: transactionID, Amount: p.amount,
		Currency: p.currency, Reason: p.reason, RefundedAt: at,
	}
}

// AmountError says that an order was told again with another amount or currency. The first counts.
type AmountError struct {
	OrderID string
	// Kept is what the order was told with first.
	Kept         money.Amount
	KeptCurrency money.Currency
	// Told is what came now.
	Told         money.Amount
	ToldCurrency money.Currency
}

func (e *AmountError) Error() string {
	return fmt.Sprintf("order %s is told again over %s %s, the first %s %s count", e.OrderID, e.Told, e.ToldCurrency, e.Kept, e.KeptCurrency)
}
