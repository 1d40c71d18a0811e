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
	// over says that the claim is completed or given up.
	over bool
}

// Begin claims the event of key as Claim does, in a transaction that is returned where the answer is Claimed. Until it
// ends, nobody else gets the claim; it ends at the latest when its process does, or, in PostgreSQL, when it was idle for
// longer than lease. In SQLite a transaction keeps all others waiting.
//
// The claim is made, and so counted, before the transaction begins: the attempt of a process that dies leaves nothing
// else. For a few seconds from then on others find the event claimed also when the process is dead.
func (s *SQL) Begin(ctx context.Context, key Key, lease time.Duration) (*Transaction, Entry, error) {
	conn, err := s.connection(ctx)
	if err != nil {
		return nil, Entry{}, err
	}
	token := uuid.New()
	entry, err := s.claim(ctx, conn, key, token, min(lease, storeTimeout))
	if err != nil || entry.State != Claimed {
		return nil, entry, errors.Join(err, conn.Close())
	}
	t := &Transaction{store: s, conn: conn, key: key, token: token}
	if err := t.begin(ctx, lease); err != nil {
		return nil, Entry{}, errors.Join(err, t.Rollback(Uncounted))
	}
	return t, entry, nil
}

// begin begins the transaction and claims within it, for as long as lease.
func (t *Transaction) begin(ctx context.Context, lease time.Duration) error {
	// The transaction outlives ctx, which bounds its beginning only: its end must not depend on who notices first that the
	// process has to leave.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	t.end = end
	bounded := context.AfterFunc(ctx, end)
	tx, err := t.conn.BeginTx(life, nil)
	if err != nil {
		return t.store.dialect.explain(err)
	}
	t.tx = tx
	err = t.claim(ctx, lease)
	if err == nil && !bounded() {
		err = context.Cause(ctx)
	}
	return err
}

func (t *Transaction) claim(ctx context.Context, lease time.Duration) error {
	if lock := t.store.dialect.lock; lock != nil {
		locked, err := lock(ctx, t.tx, t.key.sum(), lease)
		if err != nil {
			return err
		}
		if !locked {
			return &HeldError{Key: t.key}
		}
	}
	entry, err := t.store.claim(ctx, t.tx, t.key, t.token, lease)
	if err == nil && entry.State != Claimed { // it took so long to begin that another was faster
		return &HeldError{Key: t.key}
	}
	return err
}

// SQL returns the transaction for the handler's statements.
func (t *Transaction) SQL() *sql.Tx { return t.tx }

// Complete stores the outcome and commits, claim, handler's statements and all. When it fails, nothing is committed,
// unless the answer of the database was lost: then nobody knows, and the next claim tells. The claim is to be given up by
// Rollback then.
func (t *Transaction) Complete(ctx context.Context, outcome []byte) error {
	defer t.undo()
	defer context.AfterFunc(ctx, t.end)()
	err := t.store.complete(ctx, t.tx, t.key, t.token, outcome)
	if err == nil {
		err = t.tx.Commit()
	}
	if err == nil {
		t.over = true
		return nil
	}
	if errors.Is(err, sql.ErrTxDone) {
		err = fmt.Errorf("the transaction was ended by the handler, which must leave that to the runtime: %w", err)
	}
	if t.store.dialect.unreachable(t.conn, err) {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return t.store.dialect.explain(err)
}

// errUnreachable marks the failure of a transaction that is the database's, not the handler's.
var errUnreachable = errors.New("the transaction could not be committed")

// Rollback undoes what was done in the transaction and gives up the claim, unless it is completed. end says what the
// attempt counts as. It may be repeated.
func (t *Transaction) Rollback(end End) error {
	if t.over {
		return nil
	}
	t.over = true
	t.undo()
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return t.store.Release(ctx, t.key, t.token, end)
}

// undo ends the transaction and gives its connection back. It may be repeated.
func (t *Transaction) undo() {
	defer t.end()
	defer time.AfterFunc(storeTimeout, t.end).Stop()
	if t.tx != nil {
		_ = t.tx.Rollback() // a connection that fails here is given up by the database
	}
	_ = t.conn.Close()
}
