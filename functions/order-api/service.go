package orderapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// Service describes the API.
var Service = function.Service{Name: "order-api", Emits: orderstore.Types(), Settings: &settings{}, New: open}

// settings are the service's part of the environment.
type settings struct {
	database.Config

	KeysKept time.Duration `env:"ORDER_API_KEYS_KEPT, default=48h" min:"24h" max:"8760h" doc:"How long the answers to requests with an Idempotency-Key are kept."`
}

// service is the API with what it works on.
type service struct {
	http.Handler

	orders   *orderstore.Store
	answers  answers
	keysKept time.Duration
}

// open opens the database that lookup names.
func open(lookup function.Lookup) (http.Handler, error) {
	var s settings
	if err := lookup.Into(&s); err != nil {
		return nil, err
	}
	ctx := context.Background() // how long databases may take to open, they say themselves
	orders, err := orderstore.Open(ctx, s.Config)
	if err != nil {
		return nil, err
	}
	kept, err := openAnswers(ctx, orders.DB())
	if err != nil {
		return nil, errors.Join(err, orders.Close())
	}
	api, err := newHandler(&shop{
		orders: orders, lists: orderview.NewQueries(orders.DB()), answers: kept, claims: claims{keys: map[string]bool{}},
	})
	if err != nil {
		return nil, errors.Join(err, orders.Close())
	}
	return &service{Handler: api, orders: orders, answers: kept, keysKept: s.KeysKept}, nil
}

// Chores returns the relay of the facts, and what forgets old answers.
func (s *service) Chores() []function.Chore {
	return append(s.orders.Chores(), s.answers.chore(s.keysKept))
}

// Close closes the database.
func (s *service) Close() error { return s.orders.Close() }
