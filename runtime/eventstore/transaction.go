package eventstore

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/runtime/function"
)

// Transaction is the store within a transaction of its database. It belongs to one goroutine and ends with the
// transaction.
type Transaction struct {
	store *Store
	tx    *sql.Tx
}

// In returns the store within tx, which somebody began in the same database and will end: the runtime, where a handler finds
// it by function.Transaction, or [Store.Transact].
//
// In PostgreSQL readers of all events wait for what comes after the first append of a transaction until it ends, and an
// isolation level above read committed makes a writer that was slower fail where it would have been told of a conflict.
func (s *Store) In(tx *sql.Tx) *Transaction { return &Transaction{store: s, tx: tx} }

type transactKey struct{}

// Transact calls do in a new transaction, as [database.DB.Transact] does: do must be repeatable. The context that do gets
// carries tx for function.Transaction; a call of [Store.Append], [Store.SaveSnapshot] or Transact with it returns
// [ErrNested].
//
// When the commit fails nobody may know whether it was done: call Transact again with a do that makes the same events.
// In SQLite all other writers wait. In PostgreSQL it takes one of the connections, and do would need another one to read
// outside of tx: where all of them are taken in this way, all wait.
func (s *Store) Transact(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	if s.nested(ctx) {
		return ErrNested
	}
	return s.db.Transact(ctx, func(tx *sql.Tx) error {
		return do(function.WithTransaction(context.WithValue(ctx, transactKey{}, s), tx), tx)
	})
}

// nested tells whether ctx is that of a transaction of s.
func (s *Store) nested(ctx context.Context) bool { return ctx.Value(transactKey{}) == s }
