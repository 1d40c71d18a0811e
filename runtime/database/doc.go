// Package database opens the SQL databases that programs and durable parts of the runtime keep their tables in: SQLite and
// PostgreSQL. It is the same for all of them: how a connection is made and how long it may take, what is asked of TLS, how
// tables are created and brought up to date by several processes at once, and what an error of a driver means.
//
//	var c database.Config
//	if err := lookup.Into(&c); err != nil { … }
//	db, err := database.Open(ctx, c)
//	err = db.Migrate(ctx, migrations, "migrations_of_shelves")
//	err = db.Transact(ctx, func(tx *sql.Tx) error {
//		_, err := tx.ExecContext(ctx, "UPDATE shelves SET pieces = pieces - $1 WHERE product = $2", 1, "prod-7")
//		return err
//	})
//
// # Statements for both databases
//
// Write placeholders $1, $2, … in every statement: both databases take them, in any order and as often as needed. Write
// ON CONFLICT, RETURNING, CTEs and coalesce: both know them. Keep points in time as microseconds since 1970 in a bigint (SQLite
// has no type for them), and truth as boolean in PostgreSQL and integer in SQLite: both are passed and scanned as a Go bool.
// SQLite has no arrays and no SELECT … FOR UPDATE, which it does not need: one transaction writes at a time, from its
// beginning. Where the databases want different statements, look at [DB.Kind].
//
// # Reading and writing
//
// [DB.Transact] and [DB.Write] write; [DB.Read] reads what is committed. In PostgreSQL all are one pool. In SQLite one
// transaction writes at a time: calls of Transact queue in their order, and take turns with other processes that have opened
// the file. So whoever writes outside of its transaction, while it holds one, waits in vain. Several connections read
// meanwhile, and wait for no writer.
//
// The package imports the drivers, the migrations library and runtime/config, and nothing else of the runtime.
package database

import "time"

// connectTimeout bounds how long a server may take to answer when a process starts.
const connectTimeout = 5 * time.Second
