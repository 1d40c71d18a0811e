package orderview

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/projection"
)

// Name is the projection's name.
const Name = "order-view"

// schema is to be raised with each change of the table, or of what an event makes of its rows.
const schema = 1

// Projection returns the definition of the view. Its table is order_view.
func Projection() projection.Definition {
	return projection.Definition{Name: Name, Schema: schema, Tables: []string{"order_view"}, Create: create, Apply: apply}
}

// statements create the table. Times are microseconds since 1970, null where nobody told one; amounts are decimals as they were
// written, null where the fact was not told.
var statements = []string{
	`CREATE TABLE {order_view} (
		order_id           text    NOT NULL PRIMARY KEY,
		customer_id        text    NOT NULL,
		number             bigint  NOT NULL, -- among all orders, from 1 on
		customer_number    bigint  NOT NULL, -- among those of the customer, from 1 on
		version            bigint  NOT NULL,
		status             text    NOT NULL,
		amount             text    NOT NULL,
		currency           text    NOT NULL,
		payment            text    NOT NULL,
		items              integer NOT NULL,
		order_date         bigint,
		changed_at         bigint  NOT NULL,
		paid_at            bigint,
		payment_method     text NOT NULL DEFAULT '',
		transaction_id     text NOT NULL DEFAULT '',
		started_at         bigint,
		shipped_at         bigint,
		tracking_number    text NOT NULL DEFAULT '',
		carrier            text NOT NULL DEFAULT '',
		estimated_delivery text NOT NULL DEFAULT '',
		delivered_at       bigint,
		cancelled_at       bigint,
		reason             text NOT NULL DEFAULT '',
		refund_amount      text,
		refunded_at        bigint,
		refunded           text
	)`,
	"CREATE UNIQUE INDEX {order_view}_by_number ON {order_view} (number)",
	"CREATE UNIQUE INDEX {order_view}_by_customer ON {order_view} (customer_id, customer_number)",
}

func create(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, t.SQL(statement)); err != nil {
			return err
		}
	}
	return nil
}

// apply changes the row of the order that r tells of. Events of other streams pass by.
func apply(ctx context.Context, tx *sql.Tx, t projection.Tables, r eventstore.Recorded) error {
	if !strings.HasPrefix(r.Stream, orderstore.Stream("")) {
		return nil
	}
	told, err := order.Decode(r.Event.Type(), r.Event.Data())
	if err != nil {
		return err
	}
	if id := told.AggregateID(); orderstore.Stream(id) != r.Stream {
		return fmt.Errorf("it is about order %q", id)
	}
	if placed, ok := told.(fact.Created); ok {
		return insert(ctx, tx, t, r, placed)
	}
	c, err := changeOf(told)
	if err != nil {
		return err
	}
	return update(ctx, tx, t, r, told.AggregateID(), c)
}

func insert(ctx context.Context, tx *sql.Tx, t projection.Tables, r eventstore.Recorded, placed fact.Created) error {
	if r.Version != 1 {
		return fmt.Errorf("the order is created by fact %d of its stream", r.Version)
	}
	const statement = `
INSERT INTO {order_view} (order_id, customer_id, version, status, amount, currency, payment, items, order_date, changed_at, number, customer_number)
VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9,
	(SELECT coalesce(max(number), 0) + 1 FROM {order_view}),
	(SELECT coalesce(max(customer_number), 0) + 1 FROM {order_view} WHERE customer_id = $2))`
	mode := placed.Payment
	if mode == "" {
		mode = fact.PaymentAutomatic
	}
	_, err := tx.ExecContext(ctx, t.SQL(statement), placed.OrderID, text(placed.CustomerID), string(order.Pending), placed.Amount.String(),
		placed.Currency.String(), string(mode), len(placed.Items), moment(placed.OrderDate), toldAt(r))
	return err
}

func update(ctx context.Context, tx *sql.Tx, t projection.Tables, r eventstore.Recorded, id string, c change) error {
	done, err := tx.ExecContext(ctx, t.SQL(c.statement()), append([]any{id, r.Version, toldAt(r)}, c.values...)...)
	if err != nil {
		return err
	}
	rows, err := done.RowsAffected()
	if err == nil && rows != 1 {
		err = fmt.Errorf("the view does not have version %d of the order, which comes before it", r.Version-1)
	}
	return err
}
