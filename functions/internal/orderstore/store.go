package orderstore

import (
	"context"
	"errors"
	"fmt"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
)

// Dependency is the name under which errors say that the database does not answer (function.Unavailable).
const Dependency = "order-database"

// streams is what the names of the streams of orders begin with.
const streams = "order/"

// Stream returns the name of the stream that holds the facts of an order.
func Stream(id string) string { return streams + id }

// Store keeps orders in a database. Its methods may be called from many goroutines, and many processes may share a
// database.
type Store struct {
	db     *database.DB
	events *eventstore.Store
	outbox *outbox.Outbox
}

// Open opens the database that c names, and creates its tables where they are missing.
func Open(ctx context.Context, c database.Config) (*Store, error) {
	db, err := database.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	events, err := eventstore.New(ctx, db, nil)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	box, err := outbox.New(ctx, db, &outbox.Options{Topics: []string{fact.Topic}})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db, events: events, outbox: box}, nil
}

// DB returns the database, for other tables of the order service.
func (s *Store) DB() *database.DB { return s.db }

// Events returns the event store that holds the streams of the orders.
func (s *Store) Events() *eventstore.Store { return s.events }

// Outbox returns what the facts are published by.
func (s *Store) Outbox() *outbox.Outbox { return s.outbox }

// Chores returns the relay that publishes the facts. Each process that changes orders runs it.
func (s *Store) Chores() []function.Chore { return []function.Chore{s.outbox.Chore()} }

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Load returns an order as it stands. Its status is order.None where there is no such order, also where its id is one that
// no order of this store can have. The error is a *function.UnavailableError where the database does not answer, and
// otherwise says which fact of the order cannot be read.
func (s *Store) Load(ctx context.Context, id string) (order.Order, error) {
	o, _, err := s.load(ctx, id, "")
	return o, err
}

// load returns an order, and whether an event with the id that is looked for is among its facts.
//
// It reads the whole stream and no snapshot: by the rules of an order it has six facts at most.
func (s *Store) load(ctx context.Context, id, lookedFor string) (o order.Order, found bool, err error) {
	o = order.New(id)
	recorded, err := s.events.ReadStream(ctx, Stream(id), 0, eventstore.MaxRead)
	if _, impossible := errors.AsType[*eventstore.InvalidError](err); impossible {
		return o, false, nil
	}
	if err != nil {
		return o, false, unavailable(err)
	}
	for _, r := range recorded {
		told, err := order.Decode(r.Event.Type(), r.Event.Data())
		if err == nil {
			o, err = o.Apply(told)
		}
		if err != nil {
			return o, false, fmt.Errorf("stream %s, version %d (position %d): %w", r.Stream, r.Version, r.Position, err)
		}
		found = found || r.Event.Source() == Source && r.Event.ID() == lookedFor
	}
	return o, found, nil
}

// Impossible tells whether err is that of a change which can never be stored, however often it is asked for: what it tells
// is too large or no fact, no order can have its id, or its cause is that of a change of another order.
func Impossible(err error) bool {
	return is[*order.InvalidError](err) || is[*eventstore.InvalidError](err) || is[*eventstore.DuplicateError](err) ||
		is[*outbox.InvalidError](err)
}

// unavailable says of an error of the database that it is no failure of who met it. What the stores refuse is their answer.
func unavailable(err error) error {
	if isDisturbed(err) || Impossible(err) || is[*eventstore.UnreadableError](err) {
		return err
	}
	return function.Unavailable(Dependency, err)
}

// is tells whether err is, or wraps, an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
