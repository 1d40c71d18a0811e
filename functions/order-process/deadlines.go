package orderprocess

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

//go:embed migrations
var migrations embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "order_deadlines_migrations"

// deadlines cancels orders that wait too long for a step. Each order has its deadline in a table, which follows the facts of
// the orders.
//
// An order's time begins when its fact comes back from the topic, where the services that are to answer have it from. When
// all processes were down while an order was due, an answer may lie in the topic unread: the order gets its time once more.
type deadlines struct {
	store    *orderstore.Store
	patience map[step]time.Duration
	now      func() time.Time
}

// newDeadlines creates the table where it is missing.
func newDeadlines(ctx context.Context, store *orderstore.Store, patience map[step]time.Duration, now func() time.Time) (*deadlines, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = store.DB().Migrate(ctx, files, migrationsTable)
	}
	if err != nil {
		return nil, fmt.Errorf("deadlines of orders: %w", err)
	}
	return &deadlines{store: store, patience: patience, now: now}, nil
}

// cause is the event that began a step: the correlation id of its flow, and its own id.
type cause struct{ correlation, causation string }

func causeOf(e event.Event) cause {
	correlation, ok := e.Extensions()[function.CorrelationID].(string)
	if !ok || correlation == "" {
		correlation = e.ID()
	}
	return cause{correlation: correlation, causation: e.ID()}
}

// follow is told of a fact of an order, and looks up what the order waits for since.
func (d *deadlines) follow(ctx context.Context, e event.Event, id string) error {
	o, err := d.store.Load(ctx, id)
	if err != nil {
		return err
	}
	if o.Status() == order.None {
		return errForeign
	}
	if err := d.keep(ctx, o, causeOf(e)); err != nil {
		return function.Unavailable(orderstore.Dependency, err)
	}
	return nil
}

// keep has the table say what o waits for. A step that it knows keeps its time, also where o was read before the step began.
func (d *deadlines) keep(ctx context.Context, o order.Order, c cause) error {
	err := d.store.DB().Transact(ctx, func(tx *sql.Tx) error {
		waits := waitsFor(o)
		if waits == none {
			_, err := tx.ExecContext(ctx, "DELETE FROM order_deadlines WHERE order_id = $1", o.ID)
			return err
		}
		patience := d.patience[waits]
		_, err := tx.ExecContext(ctx, `
INSERT INTO order_deadlines AS d (order_id, step, patience, due, extended, correlation, causation, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (order_id) DO UPDATE SET step = excluded.step, patience = excluded.patience, due = excluded.due,
	extended = excluded.extended, correlation = excluded.correlation, causation = excluded.causation, version = excluded.version
WHERE d.step <> excluded.step AND d.version < excluded.version`,
			o.ID, string(waits), patience.Microseconds(), d.now().Add(patience).UnixMicro(), false, c.correlation, c.causation, o.Version)
		return err
	})
	if err != nil {
		return fmt.Errorf("deadline of order %s: %w", o.ID, err)
	}
	return nil
}
