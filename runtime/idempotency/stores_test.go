package idempotency_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
	"github.com/millrace/millrace/runtime/runtimetest/redis"
)

var (
	postgresServer postgres.Shared
	redisServer    redis.Shared
)

// tests are those of the package, with the servers that they share.
type tests struct{ *testing.M }

func (m tests) Run() int {
	defer postgresServer.Stop()
	defer redisServer.Stop()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// retention is what stores are opened with here, unless a test is about it.
const retention = time.Hour

// kind is one kind of store, and how to come by an empty one.
type kind struct {
	name string
	// place returns where a new, empty store is. It skips the test where the server is not installed.
	place func(testing.TB) string
	// open opens the store of a place. Several may be open at once, as those of several processes are.
	open func(ctx context.Context, place string, retention time.Duration) (idempotency.Store, error)
}

// shared are the kinds that several processes can use.
var shared = []kind{
	{
		name:  "sqlite",
		place: func(t testing.TB) string { return filepath.Join(t.TempDir(), "a name?#%41.db") },
		open: func(ctx context.Context, place string, retention time.Duration) (idempotency.Store, error) {
			return idempotency.OpenSQLite(ctx, place, retention, slog.New(slog.DiscardHandler))
		},
	}, {
		name:  "postgres",
		place: postgresServer.Database,
		open: func(ctx context.Context, place string, retention time.Duration) (idempotency.Store, error) {
			return idempotency.OpenPostgres(ctx, place, 8, retention, slog.New(slog.DiscardHandler))
		},
	}, {
		name:  "redis",
		place: redisServer.Database,
		open: func(ctx context.Context, place string, retention time.Duration) (idempotency.Store, error) {
			return idempotency.OpenRedis(ctx, place, 8, retention)
		},
	},
}

// all are all kinds.
var all = append([]kind{{
	name:  "memory",
	place: func(testing.TB) string { return "" },
	open: func(_ context.Context, _ string, retention time.Duration) (idempotency.Store, error) {
		return idempotency.NewMemory(&idempotency.MemoryOptions{Retention: retention}), nil
	},
}}, shared...)

// each runs a test on a new store of each of kinds.
func each(t *testing.T, kinds []kind, test func(*testing.T, idempotency.Store)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k.opened(t, k.place(t), retention))
		})
	}
}

// opened opens a store that is closed with the test.
func (k kind) opened(t testing.TB, place string, retention time.Duration) idempotency.Store {
	t.Helper()
	store, err := k.open(t.Context(), place, retention)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
