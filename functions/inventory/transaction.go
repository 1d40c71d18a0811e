package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/runtime/database"
)

// state is how far the reservation of an order has come.
type state string

const (
	// open: the order waits for its payment.
	open state = "open"
	// prepaid: its payment was seen, its creation was not.
	prepaid state = "prepaid"
	// reserved: its goods are set aside.
	reserved state = "reserved"
	// rejected: when it was paid, the stock did not suffice.
	rejected state = "rejected"
	// released: it was cancelled, and its goods are free again.
	released state = "released"
	// cancelled: it was cancelled before anything was reserved.
	cancelled state = "cancelled"
)

// The steps of an order. Each makes the order's row or takes it on, and returns its state if it did. It locks the row, so that
// others wait who handle events of the same order: a process that lost its partition and does not know yet, or one that
// reads another partition because producers did not agree about the key.
const (
	stepCreated = `
INSERT INTO inventory_orders AS o (order_id, state) VALUES ($1, 'open')
ON CONFLICT (order_id) DO UPDATE SET state = 'reserved' WHERE o.state = 'prepaid' RETURNING state`
	stepPaid = `
INSERT INTO inventory_orders AS o (order_id, state) VALUES ($1, 'prepaid')
ON CONFLICT (order_id) DO UPDATE SET state = 'reserved' WHERE o.state = 'open' RETURNING state`
	stepCancelled = `
INSERT INTO inventory_orders AS o (order_id, state) VALUES ($1, 'cancelled')
ON CONFLICT (order_id) DO UPDATE SET state = CASE o.state WHEN 'reserved' THEN 'released' ELSE 'cancelled' END
WHERE o.state IN ('open', 'prepaid', 'reserved') RETURNING state`
)

// transaction is the tables of an order within a transaction.
type transaction struct {
	tx    *sql.Tx
	kind  database.Kind
	order string
}

// step takes the order a step on and returns its new state, or "" where it is not to take this step.
func (t transaction) step(ctx context.Context, statement string) (s state, err error) {
	err = t.tx.QueryRowContext(ctx, statement, t.order).Scan(&s)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return s, err
}

// ask notes what the order asks for.
func (t transaction) ask(ctx context.Context, lines []line) error {
	if len(lines) == 0 {
		return nil
	}
	var insert strings.Builder
	insert.WriteString(`INSERT INTO inventory_items (order_id, product_id, quantity) VALUES`)
	args := []any{t.order}
	for i, l := range lines {
		if i > 0 {
			insert.WriteByte(',')
		}
		fmt.Fprintf(&insert, " ($1, $%d, $%d)", len(args)+1, len(args)+2)
		args = append(args, l.productID, l.quantity)
	}
	_, err := t.tx.ExecContext(ctx, insert.String(), args...)
	return err
}

// lockLines reads what an order asks for and what there is. In PostgreSQL it locks the products, sorted: whoever changes
// several does so in the same order.
const lockLines = `
WITH stock AS MATERIALIZED (
	SELECT product_id, available, told FROM inventory_stock
	WHERE product_id IN (SELECT product_id FROM inventory_items WHERE order_id = $1)
	ORDER BY product_id %s
)
SELECT i.product_id, i.quantity, s.product_id IS NOT NULL, coalesce(s.available, 0), coalesce(s.told, false)
FROM inventory_items AS i LEFT JOIN stock AS s ON s.product_id = i.product_id
WHERE i.order_id = $1`

var lockLinesOf = map[database.Kind]string{
	database.SQLite:   fmt.Sprintf(lockLines, ""),
	database.Postgres: fmt.Sprintf(lockLines, "FOR UPDATE"),
}

// lock returns what the order asks for and what there is, sorted by product, and locks the products until the transaction
// ends.
func (t transaction) lock(ctx context.Context) ([]line, error) {
	rows, err := t.tx.QueryContext(ctx, lockLinesOf[t.kind], t.order)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []line
	for rows.Next() {
		var l line
		if err := rows.Scan(&l.productID, &l.quantity, &l.known, &l.available, &l.told); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	slices.SortFunc(lines, byProduct)
	return lines, rows.Err()
}

// take reserves what the order asks for. It must be there, and locked.
func (t transaction) take(ctx context.Context) error {
	_, err := t.tx.ExecContext(ctx, `
UPDATE inventory_stock AS s
SET available = s.available - i.quantity, reserved = s.reserved + i.quantity, told = s.told OR s.available = i.quantity
FROM inventory_items AS i WHERE i.order_id = $1 AND s.product_id = i.product_id`, t.order)
	return err
}

// giveBack frees what the order asked for. It must be reserved, and locked.
func (t transaction) giveBack(ctx context.Context) error {
	_, err := t.tx.ExecContext(ctx, `
UPDATE inventory_stock AS s SET available = s.available + i.quantity, reserved = s.reserved - i.quantity
FROM inventory_items AS i WHERE i.order_id = $1 AND s.product_id = i.product_id`, t.order)
	return err
}

// reject takes back that the order is reserved, and remembers which products there are too few of. They must be locked.
func (t transaction) reject(ctx context.Context) error {
	if _, err := t.tx.ExecContext(ctx, `UPDATE inventory_orders SET state = 'rejected' WHERE order_id = $1`, t.order); err != nil {
		return err
	}
	_, err := t.tx.ExecContext(ctx, `
UPDATE inventory_stock AS s SET told = true
FROM inventory_items AS i WHERE i.order_id = $1 AND s.product_id = i.product_id AND s.available < i.quantity AND NOT s.told`, t.order)
	return err
}
