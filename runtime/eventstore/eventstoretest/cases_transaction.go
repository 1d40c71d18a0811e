package eventstoretest

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

// transact runs do in a transaction of the store, with a table of its own.
func (s stage) transact(t *testing.T, do func(ctx context.Context, tx *sql.Tx) error) error {
	t.Helper()
	return s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS seen (id TEXT)"); err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// note writes a row of the caller.
func note(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO seen (id) SELECT $1", id)
	return err
}

// noted counts the rows of the caller.
func (s stage) noted(t *testing.T) (count int) {
	t.Helper()
	must(t, s.transact(t, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM seen").Scan(&count)
	}))
	return count
}

func sharesTransaction(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1"))
	work := func(end error) error {
		return s.transact(t, func(ctx context.Context, tx *sql.Tx) error {
			if carried, ok := function.Transaction(ctx); !ok || carried != tx {
				t.Error("the context carries another transaction")
			}
			in := s.store.In(tx)
			read, err := in.ReadStream(ctx, "s", 0, 10)
			must(t, err)
			appended, err := in.Append(ctx, Write("s", eventstore.Exactly(int64(len(read))), "2"), Write("t", eventstore.NoStream, "3"))
			must(t, err)
			if appended[0].Version != 2 || appended[1].Version != 1 {
				t.Errorf("appended %+v", appended)
			}
			read, err = in.ReadStream(ctx, "s", 1, 10)
			must(t, err)
			if len(read) != 1 || read[0].Event.ID() != "2" {
				t.Errorf("within the transaction: %q", ids(read))
			}
			must(t, note(ctx, tx, "2"))
			return end
		})
	}
	if err := work(errUndone); !errors.Is(err, errUndone) {
		t.Errorf("rolled back with %v", err)
	}
	s.want(t, "s", "1")
	s.want(t, "t")
	if n := s.noted(t); n != 0 {
		t.Errorf("%d rows after a rollback", n)
	}
	must(t, work(nil))
	s.want(t, "s", "1", "2")
	s.want(t, "t", "3")
	if n := s.noted(t); n != 1 {
		t.Errorf("%d rows after a commit", n)
	}
}

func leavesTransaction(t *testing.T, s stage) {
	s.append(t, Write("s", eventstore.NoStream, "1"))
	must(t, s.transact(t, func(ctx context.Context, tx *sql.Tx) error {
		in := s.store.In(tx)
		must(t, note(ctx, tx, "a"))
		_, err := in.Append(ctx, Write("new", eventstore.NoStream, "2"), Write("s", eventstore.NoStream, "3"))
		wantConflict(t, err, "s", eventstore.NoStream, 1)
		_, err = in.Append(ctx, Write("new", eventstore.NoStream, "4"), Write("u", eventstore.NoStream, "1"))
		wantDuplicate(t, err, "another stream")
		_, err = in.Append(ctx, eventstore.Write{Stream: "new"})
		wantInvalid(t, err, "0 events")
		repeated, err := in.Append(ctx, Write("s", eventstore.NoStream, "1"))
		must(t, err)
		if !repeated[0].Repeated || repeated[0].Version != 1 {
			t.Errorf("repeated %+v", repeated)
		}
		for _, id := range []string{"5", "6", "6"} { // the last one is a repetition of what is not committed
			if _, err := in.Append(ctx, Write("new", eventstore.Any, id)); err != nil {
				return err
			}
		}
		return note(ctx, tx, "b")
	}))
	s.want(t, "s", "1")
	s.want(t, "new", "5", "6")
	s.want(t, "u")
	if n := s.noted(t); n != 2 {
		t.Errorf("%d rows, want those of the transaction", n)
	}
}

func refusesNesting(t *testing.T, s stage) {
	other := s.kind.New(t)
	must(t, s.store.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx) error {
		_, appended := s.store.Append(ctx, Write("s", eventstore.Any, "1"))
		saved := s.store.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "s", Version: 1})
		deleted := s.store.DeleteSnapshots(ctx)
		within := s.store.Transact(ctx, func(context.Context, *sql.Tx) error { return nil })
		for _, err := range []error{appended, saved, deleted, within} {
			if !errors.Is(err, eventstore.ErrNested) {
				t.Errorf("error %v, want %v", err, eventstore.ErrNested)
			}
		}
		_, err := other.Append(ctx, Write("s", eventstore.Any, "1"))
		return err
	}))
}

func rollsBackPanics(t *testing.T, s stage) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := s.store.In(tx).Append(ctx, Write("s", eventstore.NoStream, "1"))
			must(t, err)
			panic("on purpose")
		})
	}()
	s.append(t, Write("s", eventstore.NoStream, "2")) // nobody holds the stream, or the connection
	s.want(t, "s", "2")
}
