package function

import (
	"context"
	"database/sql"
)

type transactionKey struct{}

// Transaction returns the SQL transaction that the handler's context carries, and whether there is one. There is where the
// runtime remembers handled events in a SQL database and IDEMPOTENCY_TRANSACTION is true: what the handler writes within
// it is committed together with the note that the event was handled, or not at all, so that it happens once however often
// the event is delivered. A handler must not commit it or roll it back, nor use it after it returned.
//
// In PostgreSQL a statement that fails spoils the transaction: return its error.
func Transaction(ctx context.Context) (*sql.Tx, bool) {
	tx, ok := ctx.Value(transactionKey{}).(*sql.Tx)
	return tx, ok
}

// WithTransaction returns a context that carries tx to a handler. The runtime calls it; tests of handlers may.
func WithTransaction(ctx context.Context, tx *sql.Tx) context.Context {
	return context.WithValue(ctx, transactionKey{}, tx)
}
