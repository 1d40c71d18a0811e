package database_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// migrations are those of a table and of a column that a later release added.
var migrations = fstest.MapFS{
	"sqlite/00001_first.sql":    {Data: []byte("-- +goose Up\nCREATE TABLE things (name TEXT PRIMARY KEY);\n")},
	"sqlite/00002_second.sql":   {Data: []byte("-- +goose Up\nALTER TABLE things ADD COLUMN size INTEGER;\n")},
	"postgres/00001_first.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE things (name text PRIMARY KEY);\n")},
	"postgres/00002_second.sql": {Data: []byte("-- +goose Up\nALTER TABLE things ADD COLUMN size integer;\n")},
}

// Processes that start at once, on a database that is new, all find the tables up to date.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			place := filepath.Join(t.TempDir(), "a name?#%41.db")
			open := database.OpenSQLite
			if kind == database.Postgres {
				place, open = server.Database(t), database.OpenPostgres
			}
			var starting sync.WaitGroup
			for range 4 {
				starting.Go(func() {
					db, err := open(t.Context(), place, 2)
					if err != nil {
						t.Error(err)
						return
					}
					defer db.Close()
					if err := database.Migrate(t.Context(), db, kind, migrations, "migrations_of_things"); err != nil {
						t.Error(err)
					}
				})
			}
			starting.Wait()

			db, err := open(t.Context(), place, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			const insert = "INSERT INTO things (name, size) VALUES ('a', 1)"
			if _, err := db.ExecContext(t.Context(), insert); err != nil || database.IsDuplicate(err) {
				t.Errorf("the tables are not up to date: %v", err)
			}
			if _, err := db.ExecContext(t.Context(), insert); !database.IsDuplicate(err) {
				t.Errorf("the same row again: %v", err)
			}
		})
	}
}

func TestMigrateTellsWhatFailed(t *testing.T) {
	t.Parallel()
	db, err := database.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	broken := fstest.MapFS{"sqlite/00001_broken.sql": {Data: []byte("-- +goose Up\nCREATE TABBLE x (y TEXT);\n")}}
	err = database.Migrate(t.Context(), db, database.SQLite, broken, "migrations_of_x")
	if err == nil || !strings.Contains(err.Error(), "migrations_of_x") || !strings.Contains(err.Error(), "TABBLE") {
		t.Errorf("error %v", err)
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	db, err := database.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", pragma, got, err, want)
		}
	}
}

func TestSQLiteNowhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "x.db")
	if _, err := database.OpenSQLite(t.Context(), path, 1); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
}

func TestVerifiesPostgres(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, dsn string
		want      bool
	}{
		{"here", "postgres://u:hunter2@localhost/db", true},
		{"by address", "postgres://u:hunter2@[::1]/db", true},
		{"by socket", "host=/var/run/postgresql user=u", true},
		{"verified", "postgres://u:hunter2@db.example/db?sslmode=verify-full", true},
		{"by default", "postgres://u:hunter2@db.example/db", false},
		{"plain", "host=db.example password=hunter2 sslmode=disable", false},
		{"unverified", "postgres://u:hunter2@db.example/db?sslmode=require", false},
		{"second host", "postgres://u:hunter2@localhost,db.example/db?sslmode=require", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got, err := database.VerifiesPostgres(tc.dsn); got != tc.want || err != nil {
				t.Errorf("got %t, %v", got, err)
			}
		})
	}
}

func TestErrorsKeepThePassword(t *testing.T) {
	t.Parallel()
	const garbled = "postgres://u:hunter2@h:port/db"
	_, verify := database.VerifiesPostgres(garbled)
	_, open := database.OpenPostgres(t.Context(), garbled, 1)
	for _, err := range []error{verify, open} {
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

// A server that takes connections and never answers is given up within 5 seconds.
func TestASilentServerIsGivenUp(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began := time.Now()
	address := listener.Addr().String()
	_, err = database.OpenPostgres(t.Context(), "postgres://u:hunter2@"+address+"/db?sslmode=disable", 1)
	if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v, want one that names %s", err, address)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("gave up after %s", took)
	}
}
