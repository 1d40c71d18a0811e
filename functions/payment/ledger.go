package payment

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
)

//go:embed migrations
var migrations embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "payments_migrations"

// dependency names the database where it cannot be used.
const dependency = "payment-database"

// ledger is the table of payments, with the outbox of the events that tell of them. Its methods may be called from many
// goroutines and processes.
type ledger struct {
	db     *database.DB
	outbox *outbox.Outbox
	now    func() time.Time
}

// openLedger opens the database and creates its tables where they are missing.
func openLedger(ctx context.Context, c database.Config, now func() time.Time) (*ledger, error) {
	db, err := database.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	l := &ledger{db: db, now: now}
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

func (l *ledger) prepare(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := l.db.Migrate(ctx, files, migrationsTable); err != nil {
		return err
	}
	l.outbox, err = outbox.New(ctx, l.db, &outbox.Options{Topics: []string{fact.Topic}})
	return err
}

func (l *ledger) close() error { return l.db.Close() }

const (
	columns = `order_id, state, customer_id, payment_id, refund_id, amount, currency, by_hand, method, transaction_id, reason, refund_due, rejection`

	insertPayment = `
INSERT INTO payments (` + columns + `, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, '', $12) ON CONFLICT DO NOTHING`

	updatePayment = `
UPDATE payments
SET state = $2, customer_id = $3, amount = $4, currency = $5, by_hand = $6, method = $7, transaction_id = $8, reason = $9,
	refund_due = $10, rejection = $11, changed = $12
WHERE order_id = $1 AND state = $13`

	selectPayment = `SELECT ` + columns + ` FROM payments WHERE order_id = $1`

	selectDue = `SELECT order_id FROM payments WHERE refund_due > 0 AND refund_due <= $1 ORDER BY refund_due LIMIT $2`

	claimDue = `UPDATE payments SET refund_due = $3 WHERE order_id = $1 AND refund_due > 0 AND refund_due <= $2 RETURNING ` + columns
)

// add makes the row of an order, together with the events that tell of it, and returns it. Where the order has a row already
// that one is returned, fresh is false, and nothing changes.
func (l *ledger) add(ctx context.Context, p payment, tell ...event.Event) (row payment, fresh bool, err error) {
	return l.change(ctx, p, tell, insertPayment,
		p.orderID, p.state, p.customerID, p.id, p.refundID, p.amount.String(), p.currency, p.byHand, p.method, p.transactionID, p.reason,
		l.now().UnixMicro())
}

// move makes the row of an order, which is in the state from, what p says, together with the events that tell of it, and
// returns it. Where the row is in another state already nothing changes, and that row is returned.
func (l *ledger) move(ctx context.Context, from state, p payment, tell ...event.Event) (payment, error) {
	row, _, err := l.change(ctx, p, tell, updatePayment,
		p.orderID, p.state, p.customerID, p.amount.String(), p.currency, p.byHand, p.method, p.transactionID, p.reason,
		p.refundDue, p.rejection, l.now().UnixMicro(), from)
	return row, err
}

// change executes a statement that makes the row of an order what p says. Where it changes nothing, for another was faster, the
// row that is there is returned.
func (l *ledger) change(
	ctx context.Context, p payment, tell []event.Event, statement string, args ...any,
) (row payment, changed bool, err error) {
	err = l.db.Transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if row, changed = p, rows > 0; changed {
			return l.outbox.Put(ctx, tx, fact.Topic, tell...)
		}
		row, err = scan(tx.QueryRowContext(ctx, selectPayment, p.orderID))
		return err
	})
	if err != nil {
		return payment{}, false, failure(ctx, p.orderID, err)
	}
	if changed && len(tell) > 0 {
		l.outbox.Wake()
	}
	return row, changed, nil
}

// check returns why e cannot be put into the outbox.
func (l *ledger) check(e event.Event) error {
	_, err := l.outbox.Statement(fact.Topic, e)
	return function.Permanent(err)
}

// failure says what becomes of an event whose change failed. Nothing that an event may hold makes a statement fail, so it is
// the database, which may also be full, read-only or too slow; unless the process has to leave.
func failure(ctx context.Context, orderID string, err error) error {
	err = fmt.Errorf("payment of order %s: %w", orderID, err)
	if errors.Is(ctx.Err(), context.Canceled) || function.VerdictOf(err) != function.Retry {
		return err
	}
	return function.Unavailable(dependency, err)
}

// refundsDue returns some orders whose money the chore is to give back, the oldest first.
func (l *ledger) refundsDue(ctx context.Context, limit int) (orders []string, err error) {
	rows, err := l.db.Read().QueryContext(ctx, selectDue, l.now().UnixMicro(), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		orders = append(orders, id)
	}
	return orders, rows.Err()
}

// claim returns the row of an order whose refund is due, which then is due again only at some later time. Where it is not due any
// more, for instance because somebody else has claimed it, the row is empty.
func (l *ledger) claim(ctx context.Context, orderID string, again time.Time) (row payment, err error) {
	err = l.db.Transact(ctx, func(tx *sql.Tx) error {
		row, err = scan(tx.QueryRowContext(ctx, claimDue, orderID, l.now().UnixMicro(), again.UnixMicro()))
		if errors.Is(err, sql.ErrNoRows) {
			row, err = payment{}, nil
		}
		return err
	})
	if err != nil {
		return payment{}, failure(ctx, orderID, err)
	}
	return row, nil
}

func scan(row *sql.Row) (payment, error) {
	var (
		p      payment
		amount string
	)
	err := row.Scan(&p.orderID, &p.state, &p.customerID, &p.id, &p.refundID, &amount, &p.currency, &p.byHand, &p.method, &p.transactionID,
		&p.reason, &p.refundDue, &p.rejection)
	if err != nil {
		return payment{}, err
	}
	p.amount, err = money.Parse(amount)
	return p, function.Permanent(err) // somebody else has written it
}
