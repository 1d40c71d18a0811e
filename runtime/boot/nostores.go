//go:build lambda.norpc && !stores

package boot

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// ledger would remember handled events. There is none: with the clients of databases a program is half as large again, and starts
// later, whether it uses one or not.
type ledger struct{}

// Once is never called.
func (*ledger) Once(function.Spec) pipeline.Once { return nil }

// Close is never called.
func (*ledger) Close() error { return nil }

// remembering is what the environment says about it.
type remembering struct {
	Store string `env:"IDEMPOTENCY_STORE, default=none" doc:"Must be none: this program was built without stores of handled events. Build it with the tags lambda.norpc,stores (make sam-build TAGS=stores)."`
}

// Validate reports a store that is not there.
func (r *remembering) Validate() error {
	if r.Store == "none" {
		return nil
	}
	return config.Problem{Variable: "IDEMPOTENCY_STORE", What: "must be none: this program was built without stores of handled events; " +
		"build it with the tags lambda.norpc,stores (make sam-build TAGS=stores)"}
}

// open returns nil.
func (*remembering) open(context.Context, *slog.Logger) (*ledger, error) { return nil, nil }
