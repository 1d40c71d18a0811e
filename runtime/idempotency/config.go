package idempotency

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// DefaultRetention is how long completed entries are kept: as long as Kafka keeps records by default.
const DefaultRetention = 7 * 24 * time.Hour

// Config says where handled events are remembered. Fill it with [config.Load].
type Config struct {
	Store          string        `env:"IDEMPOTENCY_STORE, default=none" oneof:"none|memory|sqlite|postgres|redis" doc:"Where handled events are remembered, so that one that is delivered again is not handled again."`
	URL            config.Secret `env:"IDEMPOTENCY_URL" max:"4096" doc:"File of the SQLite database, or URL of PostgreSQL (postgres://…?sslmode=verify-full) or Redis (rediss://…)."`
	Retention      time.Duration `env:"IDEMPOTENCY_RETENTION, default=168h" min:"1s" max:"87600h" doc:"How long a handled event is remembered."`
	Transaction    bool          `env:"IDEMPOTENCY_TRANSACTION, default=false" doc:"Run each handler in the SQL transaction that remembers its event (sqlite, postgres)."`
	Connections    int           `env:"IDEMPOTENCY_CONNECTIONS, default=16" min:"1" max:"10000" doc:"Connections to PostgreSQL or Redis at most; with IDEMPOTENCY_TRANSACTION as many handlers run at once."`
	AllowPlaintext bool          `env:"IDEMPOTENCY_ALLOW_PLAINTEXT, default=false" doc:"Allow a server that is not on the loopback interface without TLS, or with a certificate that is not verified."`
}

// Validate returns every problem of c, each a [config.Problem]. None of them holds the URL. It connects to nothing.
func (c Config) Validate() error {
	var problems []error
	if c.Transaction && c.Store != "sqlite" && c.Store != "postgres" {
		problems = append(problems, problem("IDEMPOTENCY_TRANSACTION", "must be false where IDEMPOTENCY_STORE is %s, which has no SQL", c.Store))
	}
	switch c.Store {
	case "sqlite", "postgres", "redis":
		problems = append(problems, c.urlProblem())
	case "none", "memory":
		if !c.URL.IsZero() {
			problems = append(problems, problem("IDEMPOTENCY_URL", "is set, but IDEMPOTENCY_STORE is %s", c.Store))
		}
	default:
		problems = append(problems, problem("IDEMPOTENCY_STORE", "must be one of none, memory, sqlite, postgres, redis"))
	}
	return errors.Join(problems...)
}

func (c Config) urlProblem() error {
	if c.URL.IsZero() {
		return problem("IDEMPOTENCY_URL", "must be set where IDEMPOTENCY_STORE is %s", c.Store)
	}
	var plaintext bool
	var err error
	switch c.Store {
	case "postgres":
		plaintext, err = isPlaintextPostgres(c.URL.Reveal())
	case "redis":
		plaintext, err = isPlaintextRedis(c.URL.Reveal())
	}
	if err != nil {
		return problem("IDEMPOTENCY_URL", "%w", err)
	}
	if plaintext && !c.AllowPlaintext {
		return problem("IDEMPOTENCY_URL", "must ask for TLS with a verified certificate where the server is remote: "+
			"sslmode=verify-full for PostgreSQL, rediss:// for Redis (IDEMPOTENCY_ALLOW_PLAINTEXT=true goes without)")
	}
	return nil
}

func problem(variable, format string, args ...any) error {
	return config.Problem{Variable: variable, What: fmt.Errorf(format, args...).Error()}
}

// Ledger is a store as the pipelines of a process use it.
type Ledger struct {
	store       Store
	transaction bool
}

// Open opens the store that c names, or returns nil where it names none. A server must answer within 5 seconds. log is
// told when expired entries cannot be removed.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Ledger, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	store, err := c.open(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("IDEMPOTENCY_URL: %w", err)
	}
	if store == nil {
		return nil, nil
	}
	return &Ledger{store: store, transaction: c.Transaction}, nil
}

func (c Config) open(ctx context.Context, log *slog.Logger) (Store, error) {
	switch c.Store {
	case "memory":
		return NewMemory(&MemoryOptions{Retention: c.Retention}), nil
	case "sqlite":
		return OpenSQLite(ctx, c.URL.Reveal(), c.Retention, log)
	case "postgres":
		return OpenPostgres(ctx, c.URL.Reveal(), c.Connections, c.Retention, log)
	case "redis":
		return OpenRedis(ctx, c.URL.Reveal(), c.Connections, c.Retention)
	}
	return nil, nil
}

// Once returns what remembers the events of the function of spec. It is for pipeline.Options.Once.
func (l *Ledger) Once(spec function.Spec) pipeline.Once {
	if store, ok := l.store.(*SQL); ok && l.transaction {
		return NewInTransaction(store, spec)
	}
	return New(l.store, spec)
}

// Close closes the store.
func (l *Ledger) Close() error { return l.store.Close() }
