package eventstore_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// opened returns an empty store in PostgreSQL.
func opened(t *testing.T) *eventstore.Store {
	t.Helper()
	return eventstoretest.Postgres(server.Database).New(t)
}

// write appends an event to a stream, whatever its version.
func write(stream, id string) eventstore.Write {
	return eventstoretest.Write(stream, eventstore.Any, id)
}

// seen is what a reader knows of an event.
type seen struct {
	stream   string
	position int64
}

// naively reads every event that can be seen after the position that was seen last.
func naively(ctx context.Context, s *eventstore.Store, after int64) (page []seen, err error) {
	err = s.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT stream, position FROM millrace_events WHERE position > $1 ORDER BY position", after)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one seen
			if err := rows.Scan(&one.stream, &one.position); err != nil {
				return err
			}
			page = append(page, one)
		}
		return rows.Err()
	})
	return page, err
}

func soundly(ctx context.Context, s *eventstore.Store, after int64) (page []seen, err error) {
	recorded, err := s.ReadAll(ctx, after, eventstore.MaxRead)
	for _, r := range recorded {
		page = append(page, seen{r.Stream, r.Position})
	}
	return page, err
}

// A reader that takes what it sees skips an event whose transaction commits late; ReadAll does not.
func TestANaiveReaderSkipsALateCommit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		read func(context.Context, *eventstore.Store, int64) ([]seen, error)
		want []string
	}{
		"naively": {naively, []string{"early"}},
		"soundly": {soundly, []string{"late", "early"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, after := opened(t), int64(0)
			var streams []string
			follow := func() {
				page, err := tc.read(t.Context(), s, after)
				if err != nil {
					t.Error(err)
				}
				for _, r := range page {
					streams, after = append(streams, r.stream), r.position
				}
			}
			err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, late := s.In(tx).Append(ctx, write("late", "1"))
				_, early := s.Append(t.Context(), write("early", "2"))
				follow()
				return errors.Join(late, early)
			})
			if err != nil {
				t.Fatal(err)
			}
			follow()
			if !slices.Equal(streams, tc.want) {
				t.Errorf("saw %q, want %q", streams, tc.want)
			}
		})
	}
}

// A transaction of others that lasts long, as that of a backup or of a migration, holds no reader up.
func TestOtherTransactionsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	s := opened(t)
	err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE others (id bigint)"); err != nil {
			return err
		}
		if _, err := s.Append(t.Context(), write("s", "1")); err != nil {
			return err
		}
		page, err := s.ReadAll(ctx, 0, 10)
		if len(page) != 1 {
			t.Errorf("%d events while another transaction is open, want 1", len(page))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Announcements hold 31 bits of a position. What they mean is right at the edge, too.
func TestPositionsBeyondTheBitsOfALock(t *testing.T) {
	t.Parallel()
	s := opened(t)
	for round, start := range []int64{1<<31 - 4, 1<<32 - 4, 1<<62 - 4} {
		err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "SELECT setval('millrace_events_position', $1, true)", start)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		id := func(n int) string { return strconv.Itoa(round) + "-" + strconv.Itoa(n) }
		err = s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, late := s.In(tx).Append(ctx, write("late", id(1)))
			for n := 2; n < 10; n++ { // over the edge
				if _, err := s.Append(t.Context(), write("early", id(n))); err != nil {
					return err
				}
				horizon, err := s.Horizon(ctx)
				if err != nil || horizon != start {
					t.Errorf("from %d on, %d events: horizon %d, %v", start, n, horizon, err)
				}
			}
			return late
		})
		if err != nil {
			t.Fatal(err)
		}
		if page, err := s.ReadAll(t.Context(), start, eventstore.MaxRead); err != nil || len(page) != 9 {
			t.Errorf("from %d on: %d events, %v, want 9", start, len(page), err)
		}
	}
}

// A transaction announces once, however often it appends: PostgreSQL has room for a few thousand locks.
func TestManyAppendsTakeOneLock(t *testing.T) {
	t.Parallel()
	s := opened(t)
	err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		in := s.In(tx)
		for n := range 20 {
			if _, err := in.Append(ctx, write("s", strconv.Itoa(n))); err != nil {
				return err
			}
		}
		if _, err := in.Append(ctx, eventstoretest.Write("s", eventstore.NoStream, "x")); err == nil {
			t.Error("no conflict")
		}
		var locks int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()").Scan(&locks)
		if locks != 1 {
			t.Errorf("%d advisory locks, want 1", locks)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An append that was rolled back to a savepoint takes its announcement along; the next one announces anew.
func TestAnnouncementsEndWithTheirSavepoint(t *testing.T) {
	t.Parallel()
	s := opened(t)
	if _, err := s.Append(t.Context(), write("s", "1"), write("t", "2")); err != nil {
		t.Fatal(err)
	}
	err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		refused := []eventstore.Write{write("u", "3"), write("s", "1")}
		if _, err := s.In(tx).Append(ctx, refused...); err == nil {
			t.Error("an event that is stored is stored again")
		}
		if _, err := s.In(tx).Append(ctx, write("u", "4")); err != nil {
			return err
		}
		if _, err := s.Append(t.Context(), write("v", "5")); err != nil {
			return err
		}
		page, err := s.ReadAll(ctx, 0, eventstore.MaxRead)
		if len(page) != 2 {
			t.Errorf("%d events while an append is open, want those 2 before it", len(page))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Who announced after the last position was looked up has a higher one: it holds nobody up.
func TestLaterAnnouncementsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	s := opened(t)
	if _, err := s.Append(t.Context(), write("s", "1")); err != nil {
		t.Fatal(err)
	}
	horizon, err := s.Horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock_shared(1835625580, $1)", horizon+3)
		if now, err := s.Horizon(ctx); now != horizon || err != nil {
			t.Errorf("horizon %d, %v, want %d", now, err, horizon)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaited returns when another transaction waits for the end of tx.
func awaited(ctx context.Context, t *testing.T, tx *sql.Tx) {
	t.Helper()
	const waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)"
	runtimetest.Eventually(t, "another append waits", func() (yes bool) {
		return tx.QueryRowContext(ctx, waits).Scan(&yes) == nil && yes
	})
}

// Two transactions that wait for each other's events: PostgreSQL ends the one that began to wait first, and its append is
// tried again.
func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	place := server.Database(t)
	kind := eventstoretest.Postgres(nil)
	s, other := kind.Opened(t, place, nil), kind.Opened(t, place+"&options=-c%20deadlock_timeout%3D2s", nil)
	both := make(chan error, 1)
	err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL deadlock_timeout = '1min'"); err != nil {
			return err
		}
		if _, err := s.In(tx).Append(ctx, write("s", "1")); err != nil {
			return err
		}
		go func() {
			_, err := other.Append(t.Context(), eventstoretest.Write("t", eventstore.NoStream, "2", "1"))
			both <- err
		}()
		awaited(ctx, t, tx)
		_, err := s.In(tx).Append(ctx, write("u", "2"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = <-both
	if _, ok := errors.AsType[*eventstore.DuplicateError](err); !ok {
		t.Errorf("the other append: %v, want it to be told of the events that are stored now", err)
	}
}

// An append to several streams takes them in the order of their names: while it waits for the first, the others are free.
func TestStreamsAreLockedInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	s := opened(t)
	both := make(chan error, 1)
	err := s.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.In(tx).Append(ctx, write("a", "1")); err != nil {
			return err
		}
		go func() {
			_, err := s.Append(t.Context(), write("b", "2"), write("a", "3"))
			both <- err
		}()
		awaited(ctx, t, tx)
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := s.Append(short, write("b", "4"))
		return err
	})
	if err := errors.Join(err, <-both); err != nil {
		t.Fatal(err)
	}
}

// An event that another transaction stores at the same moment in another stream breaks the transaction that appends it without
// a savepoint. It is tried again, and told.
func TestAnEventThatIsStoredElsewhereAtTheSameMoment(t *testing.T) {
	t.Parallel()
	kind := eventstoretest.Postgres(nil)
	db := kind.Database(t, server.Database(t))
	s, err := eventstore.New(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	err = db.Transact(t.Context(), func(tx *sql.Tx) error {
		if _, err := s.In(tx).Append(t.Context(), write("s", "1")); err != nil {
			return err
		}
		go func() {
			second <- db.Transact(t.Context(), func(tx *sql.Tx) error {
				_, err := s.In(tx).Append(t.Context(), eventstoretest.Write("t", eventstore.NoStream, "1"))
				return err
			})
		}()
		awaited(t.Context(), t, tx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = <-second
	if duplicate, ok := errors.AsType[*eventstore.DuplicateError](err); !ok || duplicate.StoredStream != "s" {
		t.Errorf("the other append: %v, want it to be told of the event", err)
	}
}
