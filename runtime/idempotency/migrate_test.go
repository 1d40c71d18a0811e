package idempotency

import (
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

// older is a release that counted no attempts: its table, and its statements.
type older struct {
	dialect *dialect
	// driver and source are where the database is; open opens it with this release.
	driver, source string
	open           func(t *testing.T) (*SQL, error)
	// claim takes key, function, token and the lease in seconds; complete takes state, outcome, seconds, key and token.
	claim, complete string
}

func olderReleases() map[string]func(t *testing.T) older {
	log := slog.New(slog.DiscardHandler)
	return map[string]func(t *testing.T) older{
		"sqlite": func(t *testing.T) older {
			path := filepath.Join(t.TempDir(), "store.db")
			return older{
				dialect: sqliteDialect(), driver: "sqlite", source: path,
				open: func(t *testing.T) (*SQL, error) { return OpenSQLite(t.Context(), path, time.Hour, log) },
				claim: `
INSERT INTO millrace_idempotency AS entry (key, function, token, state, until) VALUES (?1, ?2, ?3, 1, unixepoch() * 1000 + ?4 * 1000)
ON CONFLICT (key) DO UPDATE SET token = excluded.token, state = 1, outcome = NULL, until = excluded.until
WHERE entry.until <= unixepoch() * 1000`,
				complete: `UPDATE millrace_idempotency SET state = ?1, outcome = ?2, until = unixepoch() * 1000 + ?3 * 1000 WHERE key = ?4 AND token = ?5`,
			}
		},
		"postgres": func(t *testing.T) older {
			dsn := postgres.Start(t).Database(t)
			return older{
				dialect: postgresDialect(), driver: "pgx", source: dsn,
				open: func(t *testing.T) (*SQL, error) { return OpenPostgres(t.Context(), dsn, 2, time.Hour, log) },
				claim: `
INSERT INTO millrace_idempotency AS entry (key, function, token, state, until) VALUES ($1, $2, $3, 1, now() + $4 * interval '1 second')
ON CONFLICT (key) DO UPDATE SET token = excluded.token, state = 1, outcome = NULL, until = excluded.until
WHERE entry.until <= now()`,
				complete: `UPDATE millrace_idempotency SET state = $1, outcome = $2, until = now() + $3 * interval '1 second' WHERE key = $4 AND token = $5`,
			}
		},
	}
}

// do runs a statement of the older release, which must change one row.
func do(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	result, err := db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows != 1 {
		t.Fatalf("%d rows changed, %v", rows, err)
	}
}

// What an older release left in its table is understood, and processes of both go on side by side.
func TestATableOfAnOlderReleaseIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	for name, begin := range olderReleases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := begin(t)
			db, err := sql.Open(o.driver, o.source)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			o.create(t, db)
			claim := func(key Key, seconds int) Token {
				token := uuid.New()
				do(t, db, o.claim, key.sum(), key.Function, token.String(), seconds)
				return token
			}
			completed, held, expired := Key{ID: "completed"}, Key{ID: "held"}, Key{ID: "expired"}
			do(t, db, o.complete, Completed, []byte("outcome"), 60, completed.sum(), claim(completed, 60).String())
			claim(held, 60)
			claim(expired, -1)

			s, err := o.open(t)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if entry, err := s.Claim(t.Context(), completed, uuid.New(), time.Minute); err != nil || string(entry.Outcome) != "outcome" {
				t.Errorf("completed: %+v, %v", entry, err)
			}
			if _, err := s.Claim(t.Context(), held, uuid.New(), time.Minute); !isHeld(err) {
				t.Errorf("held: %v", err)
			}
			token := uuid.New()
			wantClaimed(t, s, expired, token, 0)
			if err := s.Release(t.Context(), expired, token, Failed); err != nil {
				t.Fatal(err)
			}

			claim(expired, -1) // the older release takes what was released, and crashes
			wantClaimed(t, s, expired, token, 1)
			if err := s.Release(t.Context(), expired, token, Uncounted); err != nil {
				t.Fatal(err)
			}
			do(t, db, o.complete, Published, nil, 60, expired.sum(), claim(expired, 60).String())
			if entry, err := s.Claim(t.Context(), expired, uuid.New(), time.Minute); err != nil || entry.State != Published {
				t.Errorf("completed by the older release: %+v, %v", entry, err)
			}
		})
	}
}

// create creates the table as the older release did.
func (o older) create(t *testing.T, db *sql.DB) {
	t.Helper()
	folder, err := fs.Sub(migrations(), string(o.dialect.kind))
	if err != nil {
		t.Fatal(err)
	}
	dialect := map[database.Kind]goose.Dialect{database.SQLite: goose.DialectSQLite3, database.Postgres: goose.DialectPostgres}[o.dialect.kind]
	migrations, err := goose.NewProvider(dialect, db, folder, goose.WithTableName(migrationsTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	// Up and down again: the way back to the older release is open.
	for _, step := range []func() ([]*goose.MigrationResult, error){
		func() ([]*goose.MigrationResult, error) { return migrations.Up(t.Context()) },
		func() ([]*goose.MigrationResult, error) { return migrations.DownTo(t.Context(), 1) },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func wantClaimed(t *testing.T, s *SQL, key Key, token Token, failed int) {
	t.Helper()
	entry, err := s.Claim(t.Context(), key, token, time.Minute)
	if err != nil || entry.State != Claimed || entry.Past.Failed != failed {
		t.Errorf("Claim() = %+v, %v, want it claimed after %d failures", entry, err, failed)
	}
}

func isHeld(err error) bool {
	_, held := errors.AsType[*HeldError](err)
	return held
}
