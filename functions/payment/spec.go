package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
	fact "github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/functions/payment/internal/provider"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

const (
	name   = "payment"
	source = "/payment-service"
)

// Spec describes the function payment. Its handler returns no events: they are put into the outbox, in the transaction of
// the change that they tell of, and a chore publishes them.
var Spec = function.Spec{
	Name:     name,
	Topic:    order.Topic,
	Source:   source,
	Emits:    []string{fact.ProcessedType, fact.FailedType, fact.RefundedType},
	Settings: &settings{},
	New:      newHandler,
}

// settings are the function's part of the environment. Two requests, for a charge that is given back at once, fit into the
// time that a record may take.
type settings struct {
	Database database.Config
	URL      string        `env:"PAYMENT_PROVIDER_URL, default=http://127.0.0.1:1082" min:"1" max:"2048" doc:"Payment provider: https, or http to this machine."`
	Key      config.Secret `env:"PAYMENT_PROVIDER_KEY, required" max:"4096" doc:"What the payment provider knows us by: the token of its Authorization header."`
	Timeout  time.Duration `env:"PAYMENT_TIMEOUT, default=5s" min:"100ms" max:"10s" doc:"Longest time that one request to the payment provider may take."`
	Patience time.Duration `env:"PAYMENT_REJECTED_PATIENCE, default=15m" min:"1s" max:"168h" doc:"How long the money for an order that is out of stock waits for somebody to tell that they follow the order, before it goes back."`
}

// Validate finds what the tags cannot say.
func (s *settings) Validate() error {
	_, err := s.address()
	problems := []error{err}
	for _, r := range s.Key.Reveal() {
		if r <= ' ' || r > '~' {
			problems = append(problems, config.Problem{Variable: "PAYMENT_PROVIDER_KEY", What: "must be plain letters, digits and signs, without spaces"})
			break
		}
	}
	return errors.Join(problems...)
}

func (s *settings) address() (provider.Address, error) {
	address, err := provider.ParseAddress(s.URL)
	if err != nil {
		return provider.Address{}, config.Problem{Variable: "PAYMENT_PROVIDER_URL", What: err.Error()}
	}
	return address, nil
}

// service is a Handler with what it has open.
type service struct {
	function.Handler
	*handler
}

// Chores returns that of the outbox, and what gives money back by itself.
func (s *service) Chores() []function.Chore {
	return []function.Chore{s.ledger.outbox.Chore(), s.chore()}
}

// Close closes the database and the connections to the provider.
func (s *service) Close() error {
	s.provider.Close()
	return s.ledger.close()
}

func newHandler(lookup function.Lookup) (function.Handler, error) {
	s, err := newService(lookup, time.Now)
	if err != nil {
		return nil, err // as an interface, a nil *service would not be nil
	}
	return s, nil
}

// newService accepts the whole topic: what does not touch money is known and passes by.
func newService(lookup function.Lookup, now func() time.Time) (*service, error) {
	var s settings
	if err := lookup.Into(&s); err != nil {
		return nil, err
	}
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	l, err := openLedger(context.Background(), s.Database, now)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", name, err)
	}
	p := provider.New(address, s.Key, &provider.Options{Timeout: s.Timeout})
	h := &handler{ledger: l, provider: p, patience: s.Patience, now: now}
	return &service{Handler: function.Route(
		function.On(order.CreatedType, h.created),
		function.On(order.PaidType, h.paid),
		function.On(order.CancelledType, h.cancelled),
		function.On(inventory.RejectedType, h.rejected),
		function.PassBy(
			order.ProcessingStartedType, order.ShippedType, order.DeliveredType, order.RefundedType,
			inventory.ReservedType, inventory.ReleasedType,
			fact.ProcessedType, fact.FailedType, fact.RefundedType,
		),
	), handler: h}, nil
}
