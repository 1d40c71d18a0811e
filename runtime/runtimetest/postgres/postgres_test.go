package postgres_test

import (
	"database/sql"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var shared postgres.Shared

// tests are those of the package, with the server that they share.
type tests struct{ *testing.M }

func (m tests) Run() int {
	defer shared.Stop()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 2 {
		if _, err := open(t, shared.Database(t)).ExecContext(t.Context(), "CREATE TABLE once (n int)"); err != nil {
			t.Error(err)
		}
	}
}

func TestRestartKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	url := server.Database(t)
	if _, err := open(t, url).ExecContext(t.Context(), "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)"); err != nil {
		t.Fatal(err)
	}
	server.Restart(t)
	var n int
	if err := open(t, url).QueryRowContext(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("read %d, %v after a restart", n, err)
	}
}
