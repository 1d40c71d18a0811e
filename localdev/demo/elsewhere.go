package demo

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
)

// One order of another program in cancelEvery is cancelled.
const cancelEvery = 2

// orderElsewhere is an order that another program puts on Kafka. The shop charges it and sets its goods aside, and the
// program ships it or cancels it.
func (s *Shop) orderElsewhere(p *purchase, now time.Time) Step {
	p.id = fmt.Sprintf("order-%s-%d", s.prefix, p.number)
	next := s.shipElsewhere
	if p.number/3%cancelEvery == 0 {
		next = s.cancelElsewhere
	}
	s.then(p, now, next)
	items, amount := s.basket()
	return s.publish(orderService, p.correlation, now, order.Created{
		OrderID: p.id, CustomerID: p.customer, Amount: amount, Currency: currency, OrderDate: now, Items: items, ShippingAddress: address,
	})
}

func (s *Shop) shipElsewhere(p *purchase, now time.Time) Step {
	p.next = nil
	shipped := s.shipment(now)
	return s.publish(orderService, p.correlation, now, order.Shipped{
		OrderID: p.id, CustomerID: p.customer, TrackingNumber: shipped.TrackingNumber, Carrier: shipped.Carrier,
		EstimatedDelivery: shipped.EstimatedDelivery, ShippedAt: now,
	})
}

func (s *Shop) cancelElsewhere(p *purchase, now time.Time) Step {
	p.next = nil
	return s.publish(orderService, p.correlation, now, order.Cancelled{
		OrderID: p.id, CustomerID: p.customer, Reason: "changed their mind", CancelledAt: now,
	})
}

const currency = money.Currency("EUR")

var address = order.Address{Street: "1 Mill Lane", City: "Rivertown", Country: "NL"}

// basket returns some pieces of one of the products that a new shop has, and what they cost.
func (s *Shop) basket() ([]order.Item, money.Amount) {
	quantity, price := 1+s.rand.IntN(3), 5+s.rand.IntN(95)
	item := order.Item{ProductID: fmt.Sprintf("prod-%d", s.rand.IntN(100)), Quantity: quantity, Price: money.MustParse(fmt.Sprintf("%d.50", price))}
	cents := quantity * (price*100 + 50)
	return []order.Item{item}, money.MustParse(fmt.Sprintf("%d.%02d", cents/100, cents%100))
}
