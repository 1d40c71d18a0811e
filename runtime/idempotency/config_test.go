package idempotency_test

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/idempotency"
)

// wantError checks that err says want and does not tell the password of the tests.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "hunter2") {
		t.Errorf("the password is told: %v", err)
	}
}

func load(environment map[string]string) (idempotency.Config, error) {
	var c idempotency.Config
	err := config.Load(func(key string) (string, bool) { v, ok := environment[key]; return v, ok }, &c)
	return c, err
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := load(nil)
	check(t, "load", err)
	if c.Store != "none" || c.Retention != idempotency.DefaultRetention || c.Connections != 16 || c.Transaction || c.AllowPlaintext {
		t.Errorf("defaults %+v", c)
	}
	ledger, err := idempotency.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if ledger != nil || err != nil {
		t.Errorf("Open() = %v, %v, want nothing", ledger, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, store, url string
		more             string
		want             string
	}{
		{name: "memory", store: "memory"},
		{name: "sqlite", store: "sqlite", url: "store.db"},
		{name: "sqlite in transaction", store: "sqlite", url: "store.db", more: "IDEMPOTENCY_TRANSACTION"},
		{name: "sqlite nowhere", store: "sqlite", want: "IDEMPOTENCY_URL must be set where IDEMPOTENCY_STORE is sqlite"},
		{name: "unknown", store: "dynamodb", want: "IDEMPOTENCY_STORE must be one of none, memory, sqlite, postgres, redis"},
		{name: "URL of nothing", url: "redis://:hunter2@h/", want: "IDEMPOTENCY_URL is set, but IDEMPOTENCY_STORE is none"},
		{name: "transaction without SQL", store: "redis", url: "redis://localhost", more: "IDEMPOTENCY_TRANSACTION", want: "IDEMPOTENCY_TRANSACTION must be false"},

		{name: "postgres here", store: "postgres", url: "postgres://u:hunter2@localhost/db"},
		{name: "postgres by socket", store: "postgres", url: "host=/var/run/postgresql user=u"},
		{name: "postgres verified", store: "postgres", url: "postgres://u:hunter2@db.example/db?sslmode=verify-full"},
		{name: "postgres by default", store: "postgres", url: "postgres://u:hunter2@db.example/db", want: "must ask for TLS with a verified certificate"},
		{name: "postgres plain", store: "postgres", url: "host=db.example password=hunter2 sslmode=disable", want: "must ask for TLS"},
		{name: "postgres unverified", store: "postgres", url: "postgres://u:hunter2@db.example/db?sslmode=require", want: "must ask for TLS"},
		{name: "postgres, second host", store: "postgres", url: "postgres://u:hunter2@localhost,db.example/db?sslmode=require", want: "must ask for TLS"},
		{name: "postgres plain on purpose", store: "postgres", url: "host=db.example password=hunter2 sslmode=disable", more: "IDEMPOTENCY_ALLOW_PLAINTEXT"},
		{name: "postgres garbled", store: "postgres", url: "postgres://u:hunter2@h:port/db", want: "IDEMPOTENCY_URL is no PostgreSQL URL"},

		{name: "redis here", store: "redis", url: "redis://u:hunter2@127.0.0.1:6379/0"},
		{name: "redis by socket", store: "redis", url: "unix:///run/redis.sock"},
		{name: "redis verified", store: "redis", url: "rediss://u:hunter2@cache.example:6379/0"},
		{name: "redis plain", store: "redis", url: "redis://u:hunter2@cache.example:6379/0", want: "must ask for TLS"},
		{name: "redis unverified", store: "redis", url: "rediss://u:hunter2@cache.example:6379/0?skip_verify=true", want: "must ask for TLS"},
		{name: "redis plain on purpose", store: "redis", url: "redis://u:hunter2@cache.example:6379/0", more: "IDEMPOTENCY_ALLOW_PLAINTEXT"},
		{name: "redis garbled", store: "redis", url: "redis://u:hunter2@h:6379/zero", want: "IDEMPOTENCY_URL is no Redis URL"},
		{name: "redis by HTTP", store: "redis", url: "http://u:hunter2@h", want: "IDEMPOTENCY_URL is no Redis URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{"IDEMPOTENCY_URL": tc.url}
			if tc.store != "" {
				environment["IDEMPOTENCY_STORE"] = tc.store
			}
			if tc.more != "" {
				environment[tc.more] = "true"
			}
			c, err := load(environment)
			if tc.want == "" {
				check(t, "load", err)
				return
			}
			wantError(t, err, tc.want)
			if c.Store == tc.store { // it was loaded nevertheless
				_, err = idempotency.Open(t.Context(), c, slog.New(slog.DiscardHandler))
				wantError(t, err, tc.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		store       string
		transaction bool
		place       func(testing.TB) string
	}{
		{store: "memory", place: func(testing.TB) string { return "" }},
		{store: "sqlite", place: shared[0].place},
		{store: "sqlite", transaction: true, place: shared[0].place},
		{store: "postgres", place: shared[1].place},
		{store: "postgres", transaction: true, place: shared[1].place},
		{store: "redis", place: shared[2].place},
	} {
		t.Run(fmt.Sprintf("%s, transaction %t", tc.store, tc.transaction), func(t *testing.T) {
			t.Parallel()
			c := idempotency.Config{
				Store: tc.store, URL: config.NewSecret(tc.place(t)), Retention: retention, Connections: 2, Transaction: tc.transaction,
			}
			ledger, err := idempotency.Open(t.Context(), c, slog.New(slog.DiscardHandler))
			check(t, "Open", err)
			defer ledger.Close()
			spec, err := shipSpec().Complete()
			check(t, "Spec", err)
			_, inTransaction := ledger.Once(spec).(*idempotency.OnceInTransaction)
			if inTransaction != tc.transaction {
				t.Errorf("in a transaction: %t, want %t", inTransaction, tc.transaction)
			}
		})
	}
}

// A server that takes connections and never answers is given up within 5 seconds.
func TestASilentServerIsGivenUp(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, "listen", err)
	t.Cleanup(func() { listener.Close() })
	for store, url := range map[string]string{
		"postgres": "postgres://u:hunter2@%s/db?sslmode=disable",
		"redis":    "redis://u:hunter2@%s/0",
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			url := config.NewSecret(fmt.Sprintf(url, listener.Addr()))
			began := time.Now()
			_, err := idempotency.Open(t.Context(), idempotency.Config{Store: store, URL: url, Retention: retention, Connections: 1}, slog.New(slog.DiscardHandler))
			wantError(t, err, listener.Addr().String())
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("gave up after %s", took)
			}
		})
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	store, err := idempotency.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), retention, slog.New(slog.DiscardHandler))
	check(t, "open", err)
	defer store.Close()
	tx, _, err := store.Begin(t.Context(), order, lease)
	check(t, "Begin", err)
	defer func() { check(t, "Rollback", tx.Rollback(idempotency.Uncounted)) }()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"} {
		var got string
		check(t, pragma, tx.SQL().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if _, ok := function.Transaction(t.Context()); ok {
		t.Error("a context without a transaction carries one")
	}
}
