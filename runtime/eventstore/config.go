package eventstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
)

// Config says where events are stored. Fill it with [config.Load].
type Config struct {
	Store          string        `env:"EVENTSTORE, default=sqlite" oneof:"sqlite|postgres" doc:"The kind of database that events are stored in."`
	URL            config.Secret `env:"EVENTSTORE_URL" max:"4096" doc:"File of the SQLite database, or URL of PostgreSQL (postgres://…?sslmode=verify-full)."`
	Connections    int           `env:"EVENTSTORE_CONNECTIONS, default=16" min:"1" max:"10000" doc:"Connections to PostgreSQL at most."`
	AllowPlaintext bool          `env:"EVENTSTORE_ALLOW_PLAINTEXT, default=false" doc:"Allow a PostgreSQL server that is not on the loopback interface without TLS, or with a certificate that is not verified."`
}

// Validate returns what is wrong with c, a [config.Problem] that does not hold the URL. It connects to nothing.
func (c Config) Validate() error {
	if c.Store != string(database.SQLite) && c.Store != string(database.Postgres) {
		return config.Problem{Variable: "EVENTSTORE", What: "must be one of sqlite, postgres"}
	}
	if c.URL.IsZero() {
		return config.Problem{Variable: "EVENTSTORE_URL", What: "must be set: the file of the SQLite database, or the URL of PostgreSQL"}
	}
	if c.Store == string(database.SQLite) {
		return nil
	}
	verifies, err := database.VerifiesPostgres(c.URL.Reveal())
	if err != nil {
		return config.Problem{Variable: "EVENTSTORE_URL", What: err.Error()}
	}
	if !verifies && !c.AllowPlaintext {
		return config.Problem{Variable: "EVENTSTORE_URL", What: "must ask for TLS with a verified certificate where the server is remote: " +
			"sslmode=verify-full (EVENTSTORE_ALLOW_PLAINTEXT=true goes without)"}
	}
	return nil
}

// Open opens the store that c names. A server must answer within 5 seconds. o may be nil.
func Open(ctx context.Context, c Config, o *Options) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var s *Store
	var err error
	if c.Store == string(database.SQLite) {
		s, err = OpenSQLite(ctx, c.URL.Reveal(), o)
	} else {
		s, err = OpenPostgres(ctx, c.URL.Reveal(), c.Connections, o)
	}
	if err != nil {
		return nil, fmt.Errorf("EVENTSTORE_URL: %w", err)
	}
	return s, nil
}
