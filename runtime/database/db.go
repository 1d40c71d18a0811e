package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"
)

const (
	// transactTries is how often a transaction is tried that others disturb, transactPause the first pause between two tries,
	// about which each is longer than the last one.
	transactTries = 5
	transactPause = 5 * time.Millisecond
	// busyTimeout is how long SQLite waits for another process that writes.
	busyTimeout = 5 * time.Second
)

// DB is an open database. Open one with [Open]. Its methods may be called from many goroutines.
type DB struct {
	kind        Kind
	read, write *sql.DB
	// transactions are the connections of Transact.
	transactions *sql.DB
	// turn is held by the goroutine whose transaction writes. Those that wait for it get it in their order, which database/sql
	// does not promise for connections. nil: there are many connections.
	turn chan struct{}
}

// Kind tells which kind of database it is.
func (db *DB) Kind() Kind { return db.kind }

// Read returns the connections for reading what is committed. In SQLite they refuse to write, and a transaction on them sees
// the database as it was when it first read.
func (db *DB) Read() *sql.DB { return db.read }

// Write returns the connections for single statements that write, and for transactions where Transact does not fit. In SQLite it is
// one, which waits for Transact as another process does: for up to 5 seconds.
func (db *DB) Write() *sql.DB { return db.write }

// Transact calls do in a new transaction, which is committed when do returns nil and rolled back when do returns an error
// or panics. The error is that of do, or one of the transaction.
//
// Where PostgreSQL ends the transaction because of others ([IsTransient]) all is tried again, 5 times in all within a
// fraction of a second, so do must be repeatable: what it tells others it must tell after Transact. do must not end tx, nor
// use it after it returned, nor call Transact. When the commit fails nobody may know whether it was done.
func (db *DB) Transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := db.transact(ctx, do)
		if err == nil || !IsTransient(err) || try == transactTries {
			return err
		}
		pause := time.Duration(try)*transactPause + rand.N(transactPause)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (db *DB) transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	if db.turn != nil {
		select {
		case db.turn <- struct{}{}:
			defer func() { <-db.turn }()
		case <-ctx.Done():
			return fmt.Errorf("wait for other writers: %w", ctx.Err())
		}
	}
	tx, err := db.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	// After a commit there is nothing to roll back, and a connection that fails here is given up with its transaction.
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// begin begins a transaction when no other process writes to the SQLite file.
func (db *DB) begin(ctx context.Context) (*sql.Tx, error) {
	for deadline := time.Now().Add(busyTimeout); ; {
		tx, err := db.transactions.BeginTx(ctx, nil)
		if err == nil || !isSQLiteBusy(err) || time.Now().After(deadline) {
			return tx, err
		}
	}
}

// Replanned returns args with what has PostgreSQL plan their statement anew. It keeps plans otherwise, also one that was made
// while a table was empty: for a queue, which is empty most of the time, that is a plan that gets slower the more waits.
func (db *DB) Replanned(args ...any) []any {
	if db.kind == SQLite {
		return args
	}
	return append([]any{replanned}, args...)
}

// Migrate brings the tables up to date by the migrations (github.com/pressly/goose) in the folder of files that is named
// after the kind: "sqlite" or "postgres". table keeps which ones were done. Several processes may migrate at once. It takes
// 30 seconds at most.
func (db *DB) Migrate(ctx context.Context, files fs.FS, table string) error {
	return Migrate(ctx, db.write, db.kind, files, table)
}

// Close closes the connections, when the transactions and queries that run are over.
func (db *DB) Close() error {
	var problems []error
	for _, pool := range []*sql.DB{db.read, db.transactions, db.write} { // closing one twice does nothing
		if pool != nil {
			problems = append(problems, pool.Close())
		}
	}
	return errors.Join(problems...)
}
