package orderprocess

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

const (
	// unnoticed is how long after its time an order is found when nobody looked at it: well above the pause between two runs,
	// which is a minute and a little on a schedule, and more where one of them fails.
	unnoticed = 5 * time.Minute
	// pageSize is how many orders are read at once.
	pageSize = 100
)

// deadline is a row of the table.
type deadline struct {
	cause

	order    string
	step     step
	patience time.Duration
	due      time.Time
	extended bool
}

func (d *deadlines) chore() function.Chore {
	return function.Chore{Name: "order-deadlines", Run: func(ctx context.Context, _ function.Publish) error { return d.end(ctx) }}
}

// end cancels the orders that have waited too long. One that cannot be cancelled holds up no other.
func (d *deadlines) end(ctx context.Context) error {
	var failed problems
	var last deadline
	for now := d.now(); ctx.Err() == nil; {
		page, err := d.due(ctx, now, last)
		if err != nil {
			return fmt.Errorf("look up which orders wait too long: %w", err)
		}
		if len(page) == 0 {
			break
		}
		for _, one := range page {
			failed.add(d.expire(ctx, one, now))
		}
		last = page[len(page)-1]
	}
	return failed.err()
}

// problems counts errors and keeps the first.
type problems struct {
	count int
	first error
}

func (p *problems) add(err error) {
	if err == nil {
		return
	}
	if p.count++; p.first == nil {
		p.first = err
	}
}

func (p *problems) err() error {
	if p.first == nil {
		return nil
	}
	return fmt.Errorf("%d orders that wait too long could not be cancelled, the first: %w", p.count, p.first)
}

// due returns some deadlines behind last that have passed.
func (d *deadlines) due(ctx context.Context, now time.Time, last deadline) ([]deadline, error) {
	rows, err := d.store.DB().Read().QueryContext(ctx, `
SELECT order_id, step, patience, due, extended, correlation, causation FROM order_deadlines
WHERE due <= $1 AND (due, order_id) > ($2, $3) ORDER BY due, order_id LIMIT $4`,
		now.UnixMicro(), last.due.UnixMicro(), last.order, pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []deadline
	for rows.Next() {
		var one deadline
		var patience, due int64
		if err := rows.Scan(&one.order, &one.step, &patience, &due, &one.extended, &one.correlation, &one.causation); err != nil {
			return nil, err
		}
		one.patience, one.due = time.Duration(patience)*time.Microsecond, time.UnixMicro(due)
		page = append(page, one)
	}
	return page, rows.Err()
}

// expire cancels the order of a deadline that has passed, if it still waits for that step.
func (d *deadlines) expire(ctx context.Context, one deadline, now time.Time) error {
	if now.Sub(one.due) > unnoticed && !one.extended {
		return d.extend(ctx, one, now)
	}
	c := orderstore.Cause{CorrelationID: one.correlation, CausationID: one.causation, At: now}
	o, err := d.store.Change(ctx, one.order, c, func(o order.Order) ([]function.Payload, error) {
		if waitsFor(o) != one.step {
			return nil, nil
		}
		return o.Cancel(order.Cancellation{Reason: one.step.reason(one.patience), At: now})
	}, nil)
	if err != nil {
		return err
	}
	return d.keep(ctx, o, one.cause)
}

// extend gives an order its time once more.
func (d *deadlines) extend(ctx context.Context, one deadline, now time.Time) error {
	err := d.store.DB().Transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE order_deadlines SET due = $1, extended = $2 WHERE order_id = $3 AND step = $4 AND due = $5",
			now.Add(one.patience).UnixMicro(), true, one.order, string(one.step), one.due.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("deadline of order %s: %w", one.order, err)
	}
	return nil
}
