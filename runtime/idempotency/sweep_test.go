package idempotency

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

// What has expired leaves the table, batch by batch; what has not stays.
func TestExpiredRowsAreRemoved(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (*SQL, error){
		"sqlite": func(t *testing.T) (*SQL, error) {
			return OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), time.Millisecond, slog.New(slog.DiscardHandler))
		},
		"postgres": func(t *testing.T) (*SQL, error) {
			return OpenPostgres(t.Context(), postgres.Start(t).Database(t), 2, time.Millisecond, slog.New(slog.DiscardHandler))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			const expired, kept = 2*sweepBatch + 10, 3
			tx, _, err := s.Begin(t.Context(), Key{ID: "fill"}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			for i := range expired + kept {
				lease := time.Millisecond
				if i >= expired {
					lease = time.Hour
				}
				if _, err := s.claim(t.Context(), tx.SQL(), Key{ID: fmt.Sprint(i)}, uuid.New(), lease); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Complete(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			runtimetest.Eventually(t, "the removal of what has expired", func() bool {
				if err := s.removeExpired(t.Context()); err != nil {
					t.Fatal(err)
				}
				return s.rows(t) <= kept
			})
			if got := s.rows(t); got != kept {
				t.Errorf("%d rows are left, want %d", got, kept)
			}
		})
	}
}

func (s *SQL) rows(t *testing.T) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM millrace_idempotency").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The attempts at an event that nobody has claimed stay until their own time is over.
func TestCountedAttemptsAreNotRemoved(t *testing.T) {
	t.Parallel()
	for name, begin := range olderReleases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := begin(t).open(t)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			key, token := Key{ID: "failed"}, uuid.New()
			wantClaimed(t, s, key, token, 0)
			if err := errors.Join(s.Release(t.Context(), key, token, Failed), s.removeExpired(t.Context())); err != nil {
				t.Fatal(err)
			}
			wantClaimed(t, s, key, uuid.New(), 1)
		})
	}
}
