package database_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
)

// each runs a test on an empty database of each kind, with the table things.
func each(t *testing.T, test func(*testing.T, *database.DB)) {
	t.Helper()
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			place := filepath.Join(t.TempDir(), "a name?#%41.db")
			if kind == database.Postgres {
				place = server.Database(t)
			}
			db, err := database.Open(t.Context(), database.Config{Kind: string(kind), URL: config.NewSecret(place), Durable: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			if err := db.Migrate(t.Context(), migrations, "migrations_of_things"); err != nil || db.Kind() != kind {
				t.Fatal(db.Kind(), err)
			}
			test(t, db)
		})
	}
}

// names returns what the table things holds, as it is committed.
func names(t *testing.T, db *database.DB) string {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), "SELECT name FROM things ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func add(ctx context.Context, tx *sql.Tx, name string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO things (name) VALUES ($1)", name)
	return err
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		args := []any{"one", "two", 3}
		for _, args := range [][]any{args, db.Replanned(args...)} {
			var first, second, again string
			var more bool
			err := db.Read().QueryRowContext(t.Context(), "SELECT CAST($2 AS text), CAST($1 AS text), CAST($2 AS text), $3 > 2", args...).
				Scan(&first, &second, &again, &more)
			if err != nil || first != "two" || second != "one" || again != "two" || !more {
				t.Error(first, second, again, more, err)
			}
		}
	})
}

// A statement that is planned anew is not kept by the server.
func TestReplanned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		if db.Kind() == database.SQLite {
			t.Skip("keeps no plans")
		}
		conn, err := db.Write().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE $1"
		var n int
		for range 2 {
			if err := conn.QueryRowContext(t.Context(), "SELECT $1 + 41", db.Replanned(1)...).Scan(&n); err != nil || n != 42 {
				t.Error(n, err)
			}
		}
		if err := conn.QueryRowContext(t.Context(), kept, "% + 41%").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d statements are kept, %v", n, err)
		}
	})
}

func TestTransact(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		refused := errors.New("refused")
		err := db.Transact(t.Context(), func(tx *sql.Tx) error { return add(t.Context(), tx, "kept") })
		if err != nil {
			t.Error(err)
		}
		err = db.Transact(t.Context(), func(tx *sql.Tx) error {
			return errors.Join(add(t.Context(), tx, "taken back"), refused)
		})
		if !errors.Is(err, refused) {
			t.Error(err)
		}
		func() {
			defer func() {
				if recover() != "panic" {
					t.Error("the panic is lost")
				}
			}()
			_ = db.Transact(t.Context(), func(tx *sql.Tx) error {
				_ = add(t.Context(), tx, "panicked")
				panic("panic")
			})
		}()
		if err := db.Transact(t.Context(), func(tx *sql.Tx) error { return add(t.Context(), tx, "more") }); err != nil {
			t.Error(err)
		}
		if got := names(t, db); got != "kept more" {
			t.Errorf("the table holds %s", got)
		}
	})
}

func TestTransactEndsWithItsContext(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Transact(ctx, func(tx *sql.Tx) error {
			cancel()
			return add(t.Context(), tx, "late")
		})
		if err == nil || names(t, db) != "" {
			t.Errorf("error %v, the table holds %s", err, names(t, db))
		}
		if err := db.Transact(ctx, func(*sql.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Two transactions that each hold what the other one wants: PostgreSQL ends one of them, which is tried again.
func TestTransactIsTriedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		if db.Kind() == database.SQLite {
			t.Skip("one transaction writes at a time")
		}
		err := db.Transact(t.Context(), func(tx *sql.Tx) error {
			return errors.Join(add(t.Context(), tx, "a"), add(t.Context(), tx, "b"))
		})
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		var tries atomic.Int64
		var first [2]sync.Once
		var held sync.WaitGroup
		held.Add(2)
		for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
			both.Go(func() {
				err := db.Transact(t.Context(), func(tx *sql.Tx) error {
					tries.Add(1)
					const update = "UPDATE things SET size = coalesce(size, 0) + 1 WHERE name = $1"
					if _, err := tx.ExecContext(t.Context(), update, order[0]); err != nil {
						return err
					}
					first[i].Do(func() {
						held.Done()
						held.Wait()
					})
					_, err := tx.ExecContext(t.Context(), update, order[1])
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		var sum int
		if err := db.Read().QueryRowContext(t.Context(), "SELECT sum(size) FROM things").Scan(&sum); err != nil || sum != 4 || tries.Load() < 3 {
			t.Errorf("the sum is %d, %v, after %d tries", sum, err, tries.Load())
		}
	})
}

// Writers of a SQLite file get their turn in the order in which they asked.
func TestWritersQueue(t *testing.T) {
	t.Parallel()
	c := database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(t.TempDir(), "x.db"))}
	synctest.Test(t, func(t *testing.T) {
		db, err := database.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		const writers = 50
		var order []int
		var writing sync.WaitGroup
		err = db.Transact(t.Context(), func(*sql.Tx) error {
			for n := range writers {
				writing.Go(func() {
					if err := db.Transact(t.Context(), func(*sql.Tx) error { order = append(order, n); return nil }); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			return nil
		})
		writing.Wait()
		if err != nil || len(order) != writers || !slices.IsSorted(order) {
			t.Errorf("%v, order %v", err, order)
		}
	})
}

func TestReadersDoNotWriteOrWait(t *testing.T) {
	t.Parallel()
	db, err := database.Open(t.Context(), database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(t.TempDir(), "x.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Read().ExecContext(t.Context(), "CREATE TABLE x (y)"); err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("error %v", err)
	}
	err = db.Transact(t.Context(), func(*sql.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		snapshot, err := db.Read().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return snapshot.Rollback()
	})
	if err != nil {
		t.Error(err)
	}
}
