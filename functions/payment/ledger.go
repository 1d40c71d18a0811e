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
	columns = `order_id, state, customer_id, payment_id, refund_id, amount, currency, by_hand, method, transaction_id, reason`

	insertPayment = `INSERT INTO payments (` + columns + `, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`

	updatePayment = `
UPDATE payments SET state = $2, customer_id = $3, amount = $4, currency = $5, by_hand = $6, method = $7, transaction_id = $8, reason = $9, changed = $10
WHERE order_id = $1 AND state = $11`

	selectPayment = `SELECT ` + columns + ` FROM payments WHERE order_id = $1`
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
		l.now().UnixMicro(), from)
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
		return payment{}, false, l.failure(ctx, p.orderID, err)
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

// failure says what becomes of an event whose change failed. A database that does not even answer is away, which is not the
// event's fault; one that answers may dislike what it is told, so attempts are counted.
func (l *ledger) failure(ctx context.Context, orderID string, err error) error {
	err = fmt.Errorf("payment of order %s: %w", orderID, err)
	if errors.Is(ctx.Err(), context.Canceled) || l.db.Read().PingContext(ctx) == nil {
		return err
	}
	return function.Unavailable(dependency, err)
}

func scan(row *sql.Row) (payment, error) {
	var (
		p      payment
		amount string
	)
	err := row.Scan(&p.orderID, &p.state, &p.customerID, &p.id, &p.refundID, &amount, &p.currency, &p.byHand, &p.method, &p.transactionID,
		&p.reason)
	if err != nil {
		return payment{}, err
	}
	p.amount, err = money.Parse(amount)
	return p, err
}
