package demo

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
)

// Request is something that is asked of the shop's API.
type Request struct {
	// Path is that of a POST, Body its content as JSON.
	Path string
	Body any
	// Correlation is the flow that it belongs to, Key what tells it from others (Idempotency-Key).
	Correlation, Key string
	// answered is told the answer.
	answered func(answer Answer, now time.Time)
}

// Answer is what a Request got.
type Answer struct {
	Status int
	// OrderID is the order that it is about.
	OrderID string
}

// Answered tells the shop what r got. The order goes on accordingly.
func (r *Request) Answered(a Answer, now time.Time) { r.answered(a, now) }

type creation struct {
	CustomerID      string            `json:"customerId"`
	Items           []order.Item      `json:"items"`
	Currency        money.Currency    `json:"currency"`
	ShippingAddress order.Address     `json:"shippingAddress"`
	Payment         order.PaymentMode `json:"payment,omitzero"`
}

type payment struct {
	PaymentMethod string `json:"paymentMethod"`
	TransactionID string `json:"transactionId"`
}

type shipment struct {
	TrackingNumber    string `json:"trackingNumber"`
	Carrier           string `json:"carrier"`
	EstimatedDelivery string `json:"estimatedDelivery"`
}

type cancellation struct {
	Reason string `json:"reason"`
}

// orderHere is an order that is placed at the API. Of ten, one is cancelled by its customer, one is paid by hand, one has a card that is
// declined, one asks for what the shop does not have; the others are shipped and delivered.
func (s *Shop) orderHere(p *purchase) Step {
	items, _ := s.basket()
	placed := creation{CustomerID: p.customer, Items: items, Currency: currency, ShippingAddress: address}
	next := s.ship
	switch p.number % 10 {
	case 2:
		placed.Payment, next = order.PaymentManual, s.pay
	case 4:
		next = s.cancel
	case 5:
		placed.Items[0].Quantity, placed.Items[0].Price = 1, declined
		next = nil
	case 7:
		placed.Items[0].ProductID = pick(s, products)
		next = nil
	}
	return s.ask(p, "/orders", placed, func(a Answer, now time.Time) {
		p.id = a.OrderID
		if a.Status == http.StatusCreated && next != nil {
			s.then(p, now, next)
		}
	})
}

// declined is a price that the simulated provider of payments declines.
var declined = money.MustParse("13.13")

func (s *Shop) pay(p *purchase, _ time.Time) Step {
	return s.ask(p, p.path("payment"), payment{PaymentMethod: pick(s, methods), TransactionID: fmt.Sprintf("tx-%s-%d", s.prefix, p.number)},
		func(_ Answer, now time.Time) { s.then(p, now, s.ship) })
}

// ship asks again later where the order is not paid yet.
func (s *Shop) ship(p *purchase, now time.Time) Step {
	return s.ask(p, p.path("shipment"), s.shipment(now), func(a Answer, now time.Time) {
		switch a.Status {
		case http.StatusOK:
			s.then(p, now, s.deliver)
		case http.StatusConflict:
			if p.tries++; p.tries < 5 {
				s.then(p, now, s.ship)
			}
		}
	})
}

func (s *Shop) deliver(p *purchase, _ time.Time) Step {
	return s.ask(p, p.path("delivery"), struct{}{}, func(Answer, time.Time) {})
}

func (s *Shop) cancel(p *purchase, _ time.Time) Step {
	return s.ask(p, p.path("cancellation"), cancellation{Reason: "changed their mind"}, func(Answer, time.Time) {})
}

// ask is a step that asks the API for something. Nothing more happens to the order unless answered says so.
func (s *Shop) ask(p *purchase, path string, body any, answered func(Answer, time.Time)) Step {
	p.next = nil
	return Step{Request: &Request{Path: path, Body: body, Correlation: p.correlation, Key: s.uuid(), answered: answered}}
}

func (p *purchase) path(command string) string {
	return "/orders/" + url.PathEscape(p.id) + "/" + command
}

func (s *Shop) shipment(now time.Time) shipment {
	return shipment{
		TrackingNumber: fmt.Sprintf("NP%08d", s.rand.IntN(1e8)), Carrier: pick(s, carriers),
		EstimatedDelivery: now.AddDate(0, 0, 2).Format(time.DateOnly),
	}
}
