package orderstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

// changeTries is how often a change is decided, each time after another writer changed the order. By its rules an order
// changes six times in its life.
const changeTries = 10

// Decide says which facts follow from an order as it stands: a command of the aggregate, or none where there is nothing to
// change. It may be called several times for one change, each time with what other writers made of the order.
type Decide func(o order.Order) ([]function.Payload, error)

// ChangeOptions are the options of a change. nil is the default.
type ChangeOptions struct {
	// Version is that of the order which the caller saw and wants to change. Default: the change is decided on the order as
	// it stands.
	Version int64
	// Also writes what belongs to the change in its transaction; after is the order as it will be then. It is called for each
	// try, so it must be repeatable, and neither where nothing changes nor where the change was done before. Default: nothing.
	Also func(ctx context.Context, tx *sql.Tx, after order.Order) error
}

// Change has decide say which facts follow from the order, and stores them together with the rows by which they are
// published. It returns the order as it is then.
//
// A change with this cause that was done before is not done again: decide is not asked, and the order is returned as it
// stands now. So after an error that leaves open whether the change was stored, such as a broken connection, it is safe to
// repeat the call with the same cause. When others change the order meanwhile, the change is decided anew.
//
// The error is that of decide or of Also, as it is, with the order as it stood; an [*eventstore.ConflictError] where the order
// has another version than ChangeOptions.Version, or others changed it again and again; one that is [Impossible] where the
// change can never be stored; a *function.UnavailableError where the database does not answer.
func (s *Store) Change(ctx context.Context, id string, cause Cause, decide Decide, o *ChangeOptions) (order.Order, error) {
	if o == nil {
		o = &ChangeOptions{}
	}
	cause = cause.named()
	var disturbed error
	for range changeTries {
		before, done, err := s.load(ctx, id, cause.id(id, 0))
		if err != nil || done {
			return before, err
		}
		if o.Version != 0 && o.Version != before.Version {
			return before, &eventstore.ConflictError{
				Stream: Stream(id), Expected: eventstore.Exactly(o.Version), Actual: before.Version,
			}
		}
		facts, err := decide(before)
		if err != nil || len(facts) == 0 {
			return before, err
		}
		after, err := s.append(ctx, before, cause, facts, o.Also)
		if err == nil {
			return after, nil
		}
		if !isDisturbed(err) {
			return before, err
		}
		disturbed = err
	}
	return order.New(id), fmt.Errorf("change order %s, tried %d times: %w", id, changeTries, disturbed)
}

// errRepeated says that the change was done since the order was read.
var errRepeated = errors.New("the change was done meanwhile")

// isDisturbed tells whether nothing was stored because somebody else changed the order since it was read, or made this
// very change.
func isDisturbed(err error) bool {
	return is[*eventstore.ConflictError](err) || is[*eventstore.DuplicateError](err) || errors.Is(err, errRepeated)
}

// alsoError marks an error that is the caller's.
type alsoError struct{ error }

// Unwrap returns the caller's error: the transaction is tried again where the database ended it because of others.
func (e alsoError) Unwrap() error { return e.error }

// append stores facts at exactly the version of before, and returns the order after them.
func (s *Store) append(
	ctx context.Context, before order.Order, cause Cause, facts []function.Payload, also func(context.Context, *sql.Tx, order.Order) error,
) (order.Order, error) {
	after, err := before.Apply(facts...)
	if err != nil {
		return before, err
	}
	events, err := cause.tell(ctx, before, facts)
	if err != nil {
		return before, err
	}
	write := eventstore.Write{Stream: Stream(before.ID), Expected: eventstore.Exactly(before.Version), Events: events}
	err = s.db.Transact(ctx, func(tx *sql.Tx) error {
		appended, err := s.events.In(tx).Append(ctx, write)
		if err != nil {
			return err
		}
		if appended[0].Repeated {
			return errRepeated
		}
		if err := s.outbox.Put(ctx, tx, fact.Topic, events...); err != nil || also == nil {
			return err
		}
		if err := also(ctx, tx, after); err != nil {
			return alsoError{err}
		}
		return nil
	})
	if own, ok := errors.AsType[alsoError](err); ok {
		return before, own.error
	}
	if err != nil {
		return before, unavailable(err)
	}
	s.outbox.Wake()
	return after, nil
}
