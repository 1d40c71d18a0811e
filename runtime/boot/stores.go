//go:build !lambda.norpc || stores

package boot

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/runtime/idempotency"
)

// ledger remembers handled events.
type ledger = idempotency.Ledger

// remembering is what the environment says about that.
type remembering struct{ idempotency.Config }

// open opens what remembers handled events, or returns nil where the settings name nothing.
func (r *remembering) open(ctx context.Context, log *slog.Logger) (*ledger, error) {
	return idempotency.Open(ctx, r.Config, log)
}
