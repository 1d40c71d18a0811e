package eventstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/runtime/eventstore"
)

// errUndone makes a transaction roll back.
var errUndone = errors.New("undone on purpose")

// held begins a transaction that appends, and leaves it open until the function that it returns is called.
func (s stage) held(t *testing.T, writes ...eventstore.Write) (end func(error)) {
	t.Helper()
	appended, release, ended := make(chan error, 1), make(chan error), make(chan error, 1)
	go func() {
		ended <- s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := s.store.In(tx).Append(ctx, writes...)
			appended <- err
			return errors.Join(err, <-release)
		})
	}()
	must(t, <-appended)
	return func(how error) {
		t.Helper()
		release <- how
		if err := <-ended; !errors.Is(err, how) {
			t.Errorf("transaction ended with %v, want %v", err, how)
		}
	}
}

// begun appends in another goroutine, and waits for it where writers do not wait for each other.
func (s stage) begun(t *testing.T, writes ...eventstore.Write) (wait func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := s.store.Append(t.Context(), writes...)
		done <- err
	}()
	if s.kind.OneWriter {
		return func() { must(t, <-done) }
	}
	must(t, <-done)
	return func() {}
}

// waitsForLateCommits has one transaction take a position and commit after another one, with a higher position, has.
func waitsForLateCommits(t *testing.T, s stage) {
	s.append(t, Write("first", eventstore.NoStream, "1"))
	commit := s.held(t, Write("late", eventstore.NoStream, "2"))
	wait := s.begun(t, Write("early", eventstore.NoStream, "3"))

	early := s.all(t, 0)
	if got := ids(early); !slices.Equal(got, []string{"1"}) {
		t.Errorf("while the first of two is open: %q, want what comes before both", got)
	}
	horizon, err := s.store.Horizon(t.Context())
	must(t, err)
	if horizon != early[0].Position {
		t.Errorf("horizon %d, want %d", horizon, early[0].Position)
	}
	// A stream is no list of all: what is committed is there.
	if !s.kind.OneWriter {
		s.want(t, "early", "3")
	}
	commit(nil)
	wait()
	if got := ids(s.all(t, early[0].Position)); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("later: %q, want the late one too", got)
	}
}

// keepsStreamOrder has a transaction begin, write something else and so become known to the database, before another one
// appends to the stream that it appends to at last.
func keepsStreamOrder(t *testing.T, s stage) {
	if s.kind.OneWriter {
		t.Skip("here no transaction begins before another one has ended")
	}
	begun, release, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := s.store.In(tx).Append(ctx, Write("other", eventstore.NoStream, "1"))
			begun <- err
			<-release
			_, second := s.store.In(tx).Append(ctx, Write("s", eventstore.Exactly(1), "3"))
			return errors.Join(err, second)
		})
	}()
	must(t, <-begun)
	s.append(t, Write("s", eventstore.NoStream, "2"))
	close(release)
	must(t, <-ended)
	s.want(t, "s", "2", "3")
	if got := ids(s.all(t, 0)); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("all are %q", got)
	}
}

// missesNothing reads while transactions of different length overlap, some of which are rolled back.
func missesNothing(t *testing.T, s stage) {
	const writers, rounds = 8, 30
	writing, written := context.WithCancel(t.Context())
	seen := make(chan []eventstore.Recorded, 2)
	for range cap(seen) {
		go func() { seen <- follow(writing, t, s.store) }()
	}
	var appending sync.WaitGroup
	for w := range writers {
		appending.Go(func() {
			for round := range rounds {
				if err := s.overlap(t, w, round); err != nil {
					t.Error(err)
				}
			}
		})
	}
	appending.Wait()
	written()
	want := ids(s.all(t, 0))
	if len(want) != writers*(rounds-rounds/5)*2 {
		t.Errorf("%d events are stored", len(want))
	}
	for range cap(seen) {
		recorded := <-seen
		if got := ids(recorded); !slices.Equal(got, want) {
			t.Errorf("a reader that followed saw %d events, want %d in the same order", len(got), len(want))
		}
		versions := map[string]int64{}
		for _, r := range recorded {
			if versions[r.Stream]++; versions[r.Stream] != r.Version {
				t.Fatalf("stream %s: version %d comes where %d is due", r.Stream, r.Version, versions[r.Stream])
			}
		}
	}
}

// overlap appends twice in a transaction, to a stream that is shared and to one of its own. Each fifth is rolled back.
func (s stage) overlap(t *testing.T, writer, round int) error {
	err := s.store.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		own := Write(fmt.Sprintf("own-%d", writer), eventstore.Any, fmt.Sprintf("own %d-%d", writer, round))
		if _, err := s.store.In(tx).Append(ctx, own); err != nil {
			return err
		}
		for range rand.IntN(5) { // other work
			if _, err := s.store.In(tx).ReadStream(ctx, "shared-0", 0, 1); err != nil {
				return err
			}
		}
		shared := Write(fmt.Sprintf("shared-%d", round%3), eventstore.Any, fmt.Sprintf("shared %d-%d", writer, round))
		if _, err := s.store.In(tx).Append(ctx, shared); err != nil {
			return err
		}
		if round%5 == 0 {
			return errUndone
		}
		return nil
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}

// follow reads from where it was until nothing is written any more and nothing is left.
func follow(writing context.Context, t *testing.T, store *eventstore.Store) []eventstore.Recorded {
	var all []eventstore.Recorded
	after := int64(0)
	for {
		over := writing.Err() != nil
		page, err := store.ReadAll(t.Context(), after, 10)
		if err != nil {
			t.Error(err)
			return all
		}
		if len(page) == 0 && over {
			return all
		}
		for _, r := range page {
			all = append(all, r)
			after = r.Position
		}
	}
}

func goesOnAfterRollback(t *testing.T, s stage) {
	end := s.held(t, Write("undone", eventstore.NoStream, "1", "2"))
	wait := s.begun(t, Write("done", eventstore.NoStream, "3"))
	end(errUndone)
	wait()
	if got := ids(s.all(t, 0)); !slices.Equal(got, []string{"3"}) {
		t.Errorf("all are %q", got)
	}
	s.append(t, Write("undone", eventstore.NoStream, "1"))
	if got := ids(s.all(t, 0)); !slices.Equal(got, []string{"3", "1"}) {
		t.Errorf("all are %q", got)
	}
}
