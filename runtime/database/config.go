package database

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/runtime/config"
)

// Config says which database a program keeps its tables in. Fill it with [config.Load]: the zero value of Durable is not
// its default.
type Config struct {
	Kind           string        `env:"DATABASE, default=sqlite" oneof:"sqlite|postgres" doc:"The kind of database that the program keeps its tables in."`
	URL            config.Secret `env:"DATABASE_URL" max:"4096" doc:"File of the SQLite database, or URL of PostgreSQL (postgres://…?sslmode=verify-full)."`
	Connections    int           `env:"DATABASE_CONNECTIONS, default=16" min:"1" max:"10000" doc:"Connections to PostgreSQL at most."`
	AllowPlaintext bool          `env:"DATABASE_ALLOW_PLAINTEXT, default=false" doc:"Allow a PostgreSQL server that is not on the loopback interface without TLS, or with a certificate that is not verified."`
	Durable        bool          `env:"DATABASE_DURABLE, default=true" doc:"Have SQLite wait for the disk. Without it, a power cut may lose or spoil the database; a killed process does not."`
}

// defaultConnections is what a Config that was not loaded has.
const defaultConnections = 16

// Validate returns what is wrong with c, a [config.Problem] that does not hold the URL. It connects to nothing.
func (c Config) Validate() error {
	kind := Kind(c.Kind)
	if kind != SQLite && kind != Postgres {
		return config.Problem{Variable: "DATABASE", What: "must be one of sqlite, postgres"}
	}
	if c.URL.IsZero() {
		return config.Problem{Variable: "DATABASE_URL", What: "must be set: the file of the SQLite database, or the URL of PostgreSQL"}
	}
	if kind == SQLite {
		return c.validateFile()
	}
	verifies, err := VerifiesPostgres(c.URL.Reveal())
	if err != nil {
		return config.Problem{Variable: "DATABASE_URL", What: err.Error()}
	}
	if !verifies && !c.AllowPlaintext {
		return config.Problem{Variable: "DATABASE_URL", What: "must ask for TLS with a verified certificate where the server is remote: " +
			"sslmode=verify-full (DATABASE_ALLOW_PLAINTEXT=true goes without)"}
	}
	return nil
}

// validateFile tells where a server is taken for a file: errors name files, and the URL of a server may hold a password.
func (c Config) validateFile() error {
	if strings.Contains(c.URL.Reveal(), "://") {
		return config.Problem{Variable: "DATABASE_URL", What: "names a server: set DATABASE=postgres, or DATABASE_URL to the file of the SQLite database"}
	}
	return nil
}

// Open opens the database that c names. A file is created where its folder exists, a server must answer within 5 seconds.
// Errors do not hold the URL, but for the path of a file and the host and port of a server.
func Open(ctx context.Context, c Config) (*DB, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	open := openPools
	if Kind(c.Kind) == Postgres {
		open = openServer
	}
	db, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	return db, nil
}

func openServer(ctx context.Context, c Config) (*DB, error) {
	connections := c.Connections
	if connections == 0 {
		connections = defaultConnections
	}
	db, err := OpenPostgres(ctx, c.URL.Reveal(), connections)
	if err != nil {
		return nil, err
	}
	return &DB{kind: Postgres, read: db, write: db, transactions: db}, nil
}
