package orderview

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
)

const (
	// patience is how long an event waits for the view before it gives its place to others, and again how long it rests then.
	patience = 5 * time.Second
	rest     = time.Second
	// pause is the time between two looks at whether the event store gives out an event.
	pause = 20 * time.Millisecond
)

// View is the view of orders in the database of the order service.
type View struct {
	orders     *orderstore.Store
	projection *projection.Projection
	queries    *orderview.Queries
}

// Open opens the database that c names, and creates the tables of the order service and of the view where they are missing.
func Open(ctx context.Context, c database.Config) (*View, error) {
	orders, err := orderstore.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	p, err := projection.New(ctx, orders.DB(), orders.Events(), orderview.Projection(), nil)
	if err != nil {
		return nil, errors.Join(err, orders.Close())
	}
	return &View{orders: orders, projection: p, queries: orderview.NewQueries(orders.DB())}, nil
}

// Schema is that of the view that this code builds and reads.
func Schema() int { return orderview.Projection().Schema }

// Projection returns what brings the view up to date.
func (v *View) Projection() *projection.Projection { return v.projection }

// Close closes the database.
func (v *View) Close() error { return v.orders.Close() }

// handle returns when the view knows the fact. Facts of orders that are not in the event store are none of the view's.
func (v *View) handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	if e.Source() != orderstore.Source {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := v.await(bounded, e)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil && !isStopped(err) {
		err = &function.WaitError{After: rest, Err: fmt.Errorf(
			"event %q is not in the view after %s: the view is being built, or an open transaction holds back what came after it", e.ID(), patience)}
	}
	return nil, err
}

// await catches up until the view knows the fact of e.
func (v *View) await(ctx context.Context, e event.Event) error {
	for {
		missing, err := v.misses(ctx, e)
		if !missing || err != nil {
			return err
		}
		if err := v.catchUp(ctx); err != nil {
			return err
		}
		// A transaction that began earlier and is still open holds back what came after it.
		if missing, err = v.misses(ctx, e); !missing || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// misses tells whether the event store has a fact of the order that the view does not know, up to that of e.
func (v *View) misses(ctx context.Context, e event.Event) (bool, error) {
	known, err := v.queries.Version(ctx, e.Subject())
	if _, young := errors.AsType[*projection.NotBuiltError](err); err != nil && !young {
		return false, err
	}
	if version := versionOf(e); version != 0 && version <= known {
		return false, nil
	}
	more, err := v.orders.Events().ReadStream(ctx, orderstore.Stream(e.Subject()), known, 1)
	if _, impossible := errors.AsType[*eventstore.InvalidError](err); impossible {
		return false, nil // no order of the shop has such an id
	}
	if _, unreadable := errors.AsType[*eventstore.UnreadableError](err); unreadable {
		return true, nil // the projection says so in its own words
	}
	return len(more) > 0, function.Unavailable(orderstore.Dependency, err)
}

// catchUp brings the view up to date. Where it is stopped, or the database away, the event is not to blame.
func (v *View) catchUp(ctx context.Context) error {
	err := v.projection.CatchUp(ctx)
	if isStopped(err) {
		return function.Unavailable(orderview.Name, err)
	}
	return function.Unavailable(orderstore.Dependency, err)
}

func isStopped(err error) bool {
	_, ok := errors.AsType[*projection.StoppedError](err)
	return ok
}

// versionOf returns the version of its order that a fact made, 0 where it does not say.
func versionOf(e event.Event) int64 {
	version, err := strconv.ParseInt(fmt.Sprint(e.Extensions()[envelope.AggregateVersion]), 10, 32) // a number or its digits
	if err != nil || version < 0 {
		return 0
	}
	return version
}
