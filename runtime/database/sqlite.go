//go:build !lambda.norpc

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
	return openSQLite(ctx, path, connections, writing("FULL"))
}

// openPools opens a file for one connection that writes and several that read.
func openPools(ctx context.Context, c Config) (*DB, error) {
	path, synchronous := c.URL.Reveal(), "OFF"
	if c.Durable {
		synchronous = "FULL"
	}
	write, err := openSQLite(ctx, path, 1, writing(synchronous))
	if err != nil {
		return nil, err
	}
	read, err := openSQLite(ctx, path, readers, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)"}})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return &DB{kind: SQLite, read: read, write: write, turn: make(chan struct{}, 1)}, nil
}

// writing are the settings of connections that write.
func writing(synchronous string) url.Values {
	return url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")"},
		"_txlock": {"immediate"},
	}
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

// pingSQLite makes the first connection. SQLite refuses it while another process turns a new database to its write-ahead
// log.
func pingSQLite(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if code, _ := sqliteCode(err); code != sqlite3.SQLITE_BUSY {
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

func isSQLiteDuplicate(err error) bool {
	_, code := sqliteCode(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}
