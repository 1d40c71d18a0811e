//go:build !lambda.norpc || sqlite

package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// pause is the time between two tries to open a file that another process is turning to its write-ahead log.
const pause = 10 * time.Millisecond

// readers is how many connections of a [DB] read a SQLite file at once.
const readers = 4

// OpenSQLite opens the SQLite database of a file, which is created where its folder exists, over at most the given number of
// connections. It has a write-ahead log, and what is committed is synced to the disk. A transaction writes from its
// beginning: it waits for up to 5 seconds for that of another connection or process.
func OpenSQLite(ctx context.Context, path string, connections int) (*sql.DB, error) {
	return openSQLite(ctx, path, connections, writing("FULL", busyTimeout))
}

// glance is how long a transaction of a [DB] waits for another process before it asks again. SQLite would ask once in 100 ms in
// the end, and hardly ever find the database free where many write.
const glance = 3 * time.Millisecond

// openPools opens a file for one connection that writes at a time and several that read.
func openPools(ctx context.Context, c Config) (*DB, error) {
	path, synchronous := c.URL.Reveal(), "OFF"
	if c.Durable {
		synchronous = "FULL"
	}
	db := &DB{kind: SQLite, turn: make(chan struct{}, 1)}
	for _, pool := range []struct {
		db          **sql.DB
		connections int
		settings    url.Values
	}{
		{&db.write, 1, writing(synchronous, busyTimeout)},
		{&db.transactions, 1, writing(synchronous, glance)},
		{&db.read, readers, url.Values{"_pragma": {busy(busyTimeout), "query_only(1)"}}},
	} {
		var err error
		if *pool.db, err = openSQLite(ctx, path, pool.connections, pool.settings); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// writing are the settings of connections that write, and that wait for others for so long.
func writing(synchronous string, timeout time.Duration) url.Values {
	return url.Values{
		"_pragma": {busy(timeout), "journal_mode(WAL)", "synchronous(" + synchronous + ")"},
		"_txlock": {"immediate"},
	}
}

func busy(timeout time.Duration) string {
	return fmt.Sprintf("busy_timeout(%d)", timeout.Milliseconds())
}

func openSQLite(ctx context.Context, path string, connections int, settings url.Values) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+settings.Encode())
	if err != nil {
		return nil, fmt.Errorf("SQLite database %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := pingSQLite(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("SQLite database %s: %w", path, err), db.Close())
	}
	return db, nil
}

// openTimeout bounds the first connection to a database file, which waits for other processes (busyTimeout) and for the disk.
const openTimeout = 3 * busyTimeout

var errNotOpened = fmt.Errorf("could not be opened within %s: its disk does not answer, or another process holds it", openTimeout)

// pingSQLite makes the first connection. SQLite refuses it while another process turns a new database to its write-ahead
// log.
func pingSQLite(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return context.Cause(ctx)
		}
		if !isSQLiteBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// sqliteCode returns the primary and the extended result code of an error, 0 for none (https://www.sqlite.org/rescode.html).
func sqliteCode(err error) (primary, extended int) {
	if failure, ok := errors.AsType[*sqlite.Error](err); ok {
		return failure.Code() & 0xff, failure.Code()
	}
	return 0, 0
}

func isSQLiteBusy(err error) bool {
	code, _ := sqliteCode(err)
	return code == sqlite3.SQLITE_BUSY
}

func isSQLiteDuplicate(err error) bool {
	_, code := sqliteCode(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}
