package orderview

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
)

// MaxLimit is how many orders a page holds at most.
const MaxLimit = 1000

// Row is an order as lists show it. Times are UTC, to the microsecond, and zero where nobody told them.
type Row struct {
	OrderID    string
	CustomerID string
	Status     order.Status
	// Version is how many facts the row knows.
	Version int64
	Amount  money.Amount
	// Currency is that of all amounts, never empty.
	Currency money.Currency
	Payment  fact.PaymentMode
	// Items is how many lines the order has.
	Items     int
	OrderDate time.Time
	// ChangedAt is when the last fact was told.
	ChangedAt time.Time

	PaidAt                       time.Time
	PaymentMethod, TransactionID string

	ProcessingStartedAt time.Time

	ShippedAt                                  time.Time
	TrackingNumber, Carrier, EstimatedDelivery string

	DeliveredAt time.Time

	CancelledAt time.Time
	Reason      string
	// RefundAmount is what the customer of a cancelled order gets back, Refunded what was given back.
	RefundAmount, Refunded money.Amount
	RefundedAt             time.Time
}

// Page is a part of a list.
type Page struct {
	// Orders are those of the page, newest first. A page behind the last one has none.
	Orders []Row
	// Total is how many orders the list has, Pages how many pages of this limit.
	Total, Pages int
}

// Queries reads lists of orders. It may be used from many goroutines.
type Queries struct{ reader *projection.Reader }

// NewQueries returns the queries on the view in db, the database of the order service. Somebody has to follow the projection, in
// this process or in another one.
func NewQueries(db *database.DB) *Queries {
	return &Queries{projection.NewReader(db, Projection())}
}

// All returns a page of all orders. Pages are counted from 1; limit is 1 to MaxLimit. The error is a
// *projection.NotBuiltError while the view is built for the first time, else a *function.UnavailableError.
func (q *Queries) All(ctx context.Context, page, limit int) (Page, error) {
	return q.list(ctx, list{number: "number", where: "true"}, page, limit)
}

// ByCustomer returns a page of the orders of a customer, as [Queries.All] does of all.
func (q *Queries) ByCustomer(ctx context.Context, customerID string, page, limit int) (Page, error) {
	return q.list(ctx, list{number: "customer_number", where: "customer_id = $1", args: []any{text(customerID)}}, page, limit)
}

// Version returns how many facts of an order the view knows, 0 where it has no such order. Errors are as for [Queries.All].
func (q *Queries) Version(ctx context.Context, orderID string) (version int64, err error) {
	err = q.read(ctx, func(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
		const query = "SELECT coalesce(max(version), 0) FROM {order_view} WHERE order_id = $1"
		return tx.QueryRowContext(ctx, t.SQL(query), text(orderID)).Scan(&version)
	})
	return version, err
}

// list are the orders that where selects, counted from 1 on by the column number.
type list struct {
	number, where string
	args          []any
}

func (q *Queries) list(ctx context.Context, l list, number, limit int) (page Page, err error) {
	if number < 1 || limit < 1 || limit > MaxLimit {
		return Page{}, fmt.Errorf("page %d of %d orders: pages are counted from 1, and have 1 to %d orders", number, limit, MaxLimit)
	}
	err = q.read(ctx, func(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
		page = Page{Orders: []Row{}}
		total := fmt.Sprintf("SELECT coalesce(max(%s), 0) FROM {order_view} WHERE %s", l.number, l.where)
		if err := tx.QueryRowContext(ctx, t.SQL(total), l.args...).Scan(&page.Total); err != nil {
			return err
		}
		page.Pages = (page.Total + limit - 1) / limit
		if number > page.Pages {
			return nil
		}
		last := page.Total - (number-1)*limit
		var err error
		page.Orders, err = l.rows(ctx, tx, t, last-limit, last)
		return err
	})
	return page, err
}

// read calls query, and says of an error of the database whose it is.
func (q *Queries) read(ctx context.Context, query func(context.Context, *sql.Tx, projection.Tables) error) error {
	err := q.reader.Read(ctx, query)
	if is[*projection.NotBuiltError](err) {
		return err
	}
	return function.Unavailable(orderstore.Dependency, err)
}

const columns = `order_id, customer_id, status, version, amount, currency, payment, items, order_date, changed_at,
	paid_at, payment_method, transaction_id, started_at, shipped_at, tracking_number, carrier, estimated_delivery,
	delivered_at, cancelled_at, reason, refund_amount, refunded_at, refunded`

// rows returns the orders that have numbers above after, up to last, the last one first.
func (l list) rows(ctx context.Context, tx *sql.Tx, t projection.Tables, after, last int) ([]Row, error) {
	n := len(l.args)
	statement := fmt.Sprintf("SELECT %s FROM {order_view} WHERE %s AND %s > $%d AND %s <= $%d ORDER BY %s DESC",
		columns, l.where, l.number, n+1, l.number, n+2, l.number)
	found, err := tx.QueryContext(ctx, t.SQL(statement), append(l.args[:n:n], after, last)...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	all := []Row{}
	for found.Next() {
		r, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, found.Err()
}

func scan(found *sql.Rows) (r Row, err error) {
	err = found.Scan(&r.OrderID, &r.CustomerID, &r.Status, &r.Version, decimal{&r.Amount}, &r.Currency, &r.Payment, &r.Items,
		stored{&r.OrderDate}, stored{&r.ChangedAt}, stored{&r.PaidAt}, &r.PaymentMethod, &r.TransactionID, stored{&r.ProcessingStartedAt},
		stored{&r.ShippedAt}, &r.TrackingNumber, &r.Carrier, &r.EstimatedDelivery, stored{&r.DeliveredAt},
		stored{&r.CancelledAt}, &r.Reason, decimal{&r.RefundAmount}, stored{&r.RefundedAt}, decimal{&r.Refunded})
	return r, err
}
