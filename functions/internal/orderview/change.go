package orderview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

// change is what a fact makes of the row of its order.
type change struct {
	// status is what the order is unless it is further already.
	status order.Status
	// columns get values.
	columns []string
	values  []any
}

func changeOf(told function.Payload) (change, error) {
	switch told := told.(type) {
	case fact.Paid:
		return change{
			order.Paid, []string{"paid_at", "payment_method", "transaction_id"},
			[]any{moment(told.PaidAt), text(told.PaymentMethod), text(told.TransactionID)},
		}, nil
	case fact.ProcessingStarted:
		return change{order.Processing, []string{"started_at"}, []any{moment(told.StartedAt)}}, nil
	case fact.Shipped:
		return change{
			order.Shipped, []string{"shipped_at", "tracking_number", "carrier", "estimated_delivery"},
			[]any{moment(told.ShippedAt), text(told.TrackingNumber), text(told.Carrier), text(told.EstimatedDelivery)},
		}, nil
	case fact.Delivered:
		return change{order.Delivered, []string{"delivered_at"}, []any{moment(told.DeliveredAt)}}, nil
	case fact.Cancelled:
		return change{
			order.Cancelled, []string{"cancelled_at", "reason", "refund_amount"},
			[]any{moment(told.CancelledAt), text(told.Reason), told.RefundAmount.String()},
		}, nil
	case fact.Refunded:
		return change{order.None, []string{"refunded_at", "refunded"}, []any{moment(told.RefundedAt), told.Amount.String()}}, nil
	}
	return change{}, fmt.Errorf("the view does not know what %s changes", told.EventType())
}

// course are the statuses in the order in which [order.Order.Status] looks for them, from the last one on.
var course = []order.Status{order.Cancelled, order.Delivered, order.Shipped, order.Processing, order.Paid, order.Pending}

// statement returns what changes the row of order $1 to version $2, told at $3. The values are $4 and so on.
func (c change) statement() string {
	var s strings.Builder
	s.WriteString("UPDATE {order_view} SET version = $2, changed_at = $3")
	if further := max(slices.Index(course, c.status), 0); c.status != order.None {
		fmt.Fprintf(&s, ", status = CASE WHEN status IN ('%s'", c.status)
		for _, status := range course[:further] {
			fmt.Fprintf(&s, ", '%s'", status)
		}
		fmt.Fprintf(&s, ") THEN status ELSE '%s' END", c.status)
	}
	for i, column := range c.columns {
		fmt.Fprintf(&s, ", %s = $%d", column, i+4)
	}
	s.WriteString(" WHERE order_id = $1 AND version = $2 - 1")
	return s.String()
}

// text is s as both databases take it: PostgreSQL has no character 0.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// moment is a time as it is stored, nil where nobody told it.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// toldAt is when the fact was told, or stored where it does not say.
func toldAt(r eventstore.Recorded) int64 {
	if at := r.Event.Time(); !at.IsZero() {
		return at.UnixMicro()
	}
	return r.RecordedAt.UnixMicro()
}
