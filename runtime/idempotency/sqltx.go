package idempotency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Transaction is a claim that is not committed yet. It belongs to one goroutine and ends with Complete or Rollback.
type Transaction struct {
	store *SQL
	conn  *sql.Conn
	tx    *sql.Tx
	key   Key
	token Token
	// end gives up the transaction and its connection.
	end context.CancelFunc
}

// Begin claims the event of key as Claim does, in a transaction that is returned where the answer is Claimed. Until it
// ends, nobody else gets the claim; it ends at the latest when its process does, or, in PostgreSQL, when it was idle for
// longer than lease. In SQLite a transaction keeps all others waiting.
func (s *SQL) Begin(ctx context.Context, key Key, lease time.Duration) (*Transaction, Entry, error) {
	conn, err := s.connection(ctx)
	if err != nil {
		return nil, Entry{}, err
	}
	// The transaction outlives ctx, which bounds its beginning only: its end must not depend on who notices first that the
	// process has to leave.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	bounded := context.AfterFunc(ctx, end)
	tx, err := conn.BeginTx(life, nil)
	if err != nil {
		end()
		return nil, Entry{}, errors.Join(s.dialect.explain(err), conn.Close())
	}
	t := &Transaction{store: s, conn: conn, tx: tx, key: key, token: uuid.New(), end: end}
	entry, err := t.claim(ctx, lease)
	if err == nil && !bounded() {
		err = context.Cause(ctx)
	}
	if err != nil || entry.State != Claimed {
		t.Rollback()
		return nil, entry, err
	}
	return t, entry, nil
}

func (t *Transaction) claim(ctx context.Context, lease time.Duration) (Entry, error) {
	if lock := t.store.dialect.lock; lock != nil {
		locked, err := lock(ctx, t.tx, t.key.sum(), lease)
		if err != nil {
			return Entry{}, err
		}
		if !locked {
			return Entry{}, &HeldError{Key: t.key}
		}
	}
	return t.store.claim(ctx, t.tx, t.key, t.token, lease)
}

// SQL returns the transaction for the handler's statements.
func (t *Transaction) SQL() *sql.Tx { return t.tx }

// Complete stores the outcome and commits, claim, handler's statements and all. When it fails, nothing is committed,
// unless the answer of the database was lost: then nobody knows, and the next claim tells.
func (t *Transaction) Complete(ctx context.Context, outcome []byte) error {
	defer t.Rollback()
	defer context.AfterFunc(ctx, t.end)()
	err := t.store.complete(ctx, t.tx, t.key, t.token, outcome)
	if err == nil {
		err = t.tx.Commit()
	}
	if errors.Is(err, sql.ErrTxDone) {
		err = fmt.Errorf("the transaction was ended by the handler, which must leave that to the runtime: %w", err)
	}
	if err != nil && t.store.dialect.unreachable(t.conn, err) {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return t.store.dialect.explain(err)
}

// errUnreachable marks the failure of a transaction that is the database's, not the handler's.
var errUnreachable = errors.New("the transaction could not be committed")

// Rollback undoes what was done in the transaction, unless it is completed. It may be repeated.
func (t *Transaction) Rollback() {
	defer t.end()
	defer time.AfterFunc(storeTimeout, t.end).Stop()
	_ = t.tx.Rollback() // a connection that fails here is given up by the database
	_ = t.conn.Close()
}
