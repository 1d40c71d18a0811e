package orderprocess

import (
	"context"

	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

// Open makes the handler with a clock of the test.
var Open = open

// Keep has the table of deadlines say what an order waits for, as a process does that has read the order before.
func Keep(ctx context.Context, h function.Handler, o order.Order) error {
	return h.(*handler).deadlines.keep(ctx, o, cause{})
}
