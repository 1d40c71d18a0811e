package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// OnceInTransaction remembers the events that one function has handled, each in the SQL transaction that its handler
// takes part in (function.Transaction). It implements pipeline.Once and may be called from many goroutines.
//
// A transaction holds a connection while the handler runs: as many handlers run at once as the store has connections,
// which for SQLite is one. Others wait without an attempt being spent.
type OnceInTransaction struct {
	store    *SQL
	function string
	lease    time.Duration
}

// NewInTransaction returns what remembers the events of the function of spec, whose time-out must be set.
func NewInTransaction(store *SQL, spec function.Spec) *OnceInTransaction {
	return &OnceInTransaction{store: store, function: spec.Name, lease: spec.Timeout + Margin}
}

// Do is [Once.Do] in a transaction: when produce has succeeded, the claim, what produce did in the transaction and the
// outcome are committed, before anything is published. When produce fails, all of it is rolled back. A transaction that
// PostgreSQL ended because it was idle for longer than the lease is [ErrLost].
func (o *OnceInTransaction) Do(ctx context.Context, d *pipeline.Delivery, produce pipeline.Produce) ([]event.Event, func(context.Context) error, error) {
	key := keyOf(o.function, d.Event)
	tx, entry, err := o.begin(ctx, key)
	if err != nil {
		return nil, nil, explain(err)
	}
	if entry.State != Claimed {
		return remembered(o.store, key, entry)
	}
	d.Recall(entry.Past)
	events, err := o.work(ctx, d, tx, produce)
	if err != nil {
		return nil, nil, err
	}
	return events, notePublished(o.store, key, events), nil
}

// Buried implements [pipeline.Once].
func (o *OnceInTransaction) Buried(ctx context.Context, e event.Event) error {
	return forget(ctx, o.store, keyOf(o.function, e))
}

// work calls produce and commits. When it cannot, also because produce panics, it rolls back.
func (o *OnceInTransaction) work(ctx context.Context, d *pipeline.Delivery, tx *Transaction, produce pipeline.Produce) (events []event.Event, err error) {
	completed := false
	defer func() {
		if !completed {
			err = released(err, o.lease, tx.Rollback(endOf(d, err)))
		}
	}()
	events, err = produce(function.WithTransaction(ctx, tx.SQL()), d)
	if err != nil {
		return nil, err
	}
	text, err := encode(events)
	if err != nil {
		return nil, err
	}
	if err := o.commit(ctx, tx, text); err != nil {
		return nil, fmt.Errorf("%s: %w", tx.key, err)
	}
	completed = true
	return events, nil
}

func (o *OnceInTransaction) begin(ctx context.Context, key Key) (*Transaction, Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return o.store.Begin(ctx, key, o.lease)
}

// commit commits also when the process has to leave: the handler has done its work.
func (o *OnceInTransaction) commit(ctx context.Context, tx *Transaction, text []byte) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := tx.Complete(bounded, text)
	// The driver cuts the connection of a statement whose context ends: after the attempt's time-out that is the handler's.
	if err == nil || ctx.Err() != nil || !errors.Is(err, errUnreachable) {
		return err
	}
	return function.Unavailable(Dependency, err)
}
