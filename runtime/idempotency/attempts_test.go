package idempotency_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// claimPast claims order, which must succeed within a while, and returns what is told of the claims before.
func claimPast(t *testing.T, store idempotency.Store, lease time.Duration) (idempotency.Token, pipeline.Past) {
	t.Helper()
	token := uuid.New()
	var entry idempotency.Entry
	runtimetest.Eventually(t, "a claim", func() bool {
		var err error
		entry, err = store.Claim(t.Context(), order, token, lease)
		if err != nil && !isHeld(err) {
			t.Fatal(err)
		}
		return err == nil && entry.State == idempotency.Claimed
	})
	return token, entry.Past
}

// attempt makes one attempt that ends so, and checks what is told of those before.
func attempt(t *testing.T, store idempotency.Store, end idempotency.End, failed, crashed int) {
	t.Helper()
	token, past := claimPast(t, store, lease)
	wantPast(t, past, failed, crashed)
	for range 2 { // it may be repeated
		check(t, "Release", store.Release(t.Context(), order, token, end))
	}
}

// crash makes an attempt whose process dies, and checks what is told of those before.
func crash(t *testing.T, store idempotency.Store, failed, crashed int) {
	t.Helper()
	_, past := claimPast(t, store, time.Millisecond)
	wantPast(t, past, failed, crashed)
}

func wantPast(t *testing.T, past pipeline.Past, failed, crashed int) {
	t.Helper()
	if past.Failed != failed || past.Crashed != crashed || past.FirstFailure.IsZero() != (failed == 0) {
		t.Errorf("told of %d failed and %d crashed attempts, the first failed at %s; want %d and %d",
			past.Failed, past.Crashed, past.FirstFailure, failed, crashed)
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		attempt(t, store, idempotency.Uncounted, 0, 0)
		attempt(t, store, idempotency.Failed, 0, 0)
		attempt(t, store, idempotency.Uncounted, 1, 0)
		crash(t, store, 1, 0)
		attempt(t, store, idempotency.Failed, 1, 1)
		crash(t, store, 2, 1)
		crash(t, store, 2, 2)
		attempt(t, store, idempotency.Uncounted, 2, 3)
		attempt(t, store, idempotency.Dropped, 2, 3)
		attempt(t, store, idempotency.Failed, 0, 0)
		token, _ := claimPast(t, store, lease)
		check(t, "Complete", store.Complete(t.Context(), order, token, nil))
		check(t, "Release of what is completed", store.Release(t.Context(), order, token, idempotency.Failed))
		check(t, "Forget", store.Forget(t.Context(), order))
		wantEntry(t, store, order, idempotency.Published, nil)
	})
}

func TestTheTimeOfTheFirstFailureIsKept(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		before := time.Now().Truncate(time.Millisecond)
		attempt(t, store, idempotency.Failed, 0, 0)
		after := time.Now().Add(time.Millisecond)
		token, first := claimPast(t, store, lease)
		if first.FirstFailure.Before(before) || first.FirstFailure.After(after) {
			t.Errorf("first failure at %s, want between %s and %s", first.FirstFailure, before, after)
		}
		runtimetest.Eventually(t, "another millisecond", func() bool { return time.Since(after) > time.Millisecond })
		check(t, "Release", store.Release(t.Context(), order, token, idempotency.Failed))
		if _, second := claimPast(t, store, lease); !second.FirstFailure.Equal(first.FirstFailure) {
			t.Errorf("first failure at %s after the second, at %s after the first", second.FirstFailure, first.FirstFailure)
		}
	})
}

// A claim that is repeated, because its answer was lost, is one attempt; one that was lost is its owner's no more.
func TestAClaimIsCountedOnce(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		token := claim(t, store, order, lease)
		for range 2 {
			entry, err := store.Claim(t.Context(), order, token, time.Millisecond)
			check(t, "the same claim", err)
			wantPast(t, entry.Past, 0, 0)
		}
		second, past := claimPast(t, store, lease)
		wantPast(t, past, 0, 1)
		check(t, "Release of a claim that was lost", store.Release(t.Context(), order, token, idempotency.Failed))
		check(t, "Release", store.Release(t.Context(), order, second, idempotency.Uncounted))
		_, past = claimPast(t, store, lease)
		wantPast(t, past, 0, 1)
	})
}

// An owner whose lease has run out tells of its failure before anybody else has claimed.
func TestALateReleaseCounts(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		token := claim(t, store, order, time.Millisecond)
		pass(t, 20*time.Millisecond)
		check(t, "Release", store.Release(t.Context(), order, token, idempotency.Failed))
		_, past := claimPast(t, store, lease)
		wantPast(t, past, 1, 0)
	})
}

func TestForgettingStartsTheCountAnew(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		check(t, "Forget what was never claimed", store.Forget(t.Context(), order))
		crash(t, store, 0, 0)
		pass(t, 20*time.Millisecond)
		check(t, "Forget what crashed", store.Forget(t.Context(), order))
		attempt(t, store, idempotency.Failed, 0, 0)
		crash(t, store, 1, 0)
		attempt(t, store, idempotency.Uncounted, 1, 1)
		check(t, "Forget", store.Forget(t.Context(), order))
		token, past := claimPast(t, store, lease)
		wantPast(t, past, 0, 0)

		check(t, "Forget what is claimed", store.Forget(t.Context(), order))
		check(t, "Complete", store.Complete(t.Context(), order, token, []byte("outcome")))
		check(t, "Forget what is completed", store.Forget(t.Context(), order))
		wantEntry(t, store, order, idempotency.Completed, []byte("outcome"))
	})
}

func TestAttemptsAreForgottenAfterTheRetention(t *testing.T) {
	t.Parallel()
	for _, k := range all {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			const retention = 2 * time.Second
			store := k.opened(t, k.place(t), retention)
			attempt(t, store, idempotency.Failed, 0, 0)
			crash(t, store, 1, 0)
			attempt(t, store, idempotency.Uncounted, 1, 1)
			pass(t, retention+20*time.Millisecond)
			crash(t, store, 0, 0)
			pass(t, retention+20*time.Millisecond)
			attempt(t, store, idempotency.Failed, 0, 0)
		})
	}
}

// pass lets time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	began := time.Now()
	runtimetest.Eventually(t, d.String(), func() bool { return time.Since(began) >= d })
}

// Many owners try an event at once, and each fails. No attempt gets lost or is counted twice, and one runs at a time.
func TestManyOwnersCountTogether(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		const owners, attempts = 8, 5
		var told sync.Map
		var running sync.WaitGroup
		for range owners {
			running.Go(func() {
				for range attempts {
					token := uuid.New()
					entry, err := store.Claim(t.Context(), order, token, lease)
					for err != nil && t.Context().Err() == nil {
						entry, err = store.Claim(t.Context(), order, token, lease)
					}
					if _, twice := told.LoadOrStore(entry.Past.Failed, true); twice || entry.Past.Crashed != 0 {
						t.Errorf("told of %+v; another was told of as many: %t", entry.Past, twice)
					}
					if err := store.Release(t.Context(), order, token, idempotency.Failed); err != nil {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
		_, past := claimPast(t, store, lease)
		wantPast(t, past, owners*attempts, 0)
	})
}
