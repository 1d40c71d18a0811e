package idempotency_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/idempotency"
)

func TestAMemoryForgetsWhatWasCompletedFirst(t *testing.T) {
	t.Parallel()
	store := idempotency.NewMemory(&idempotency.MemoryOptions{Entries: 2})
	key := func(id string) idempotency.Key { return idempotency.Key{ID: id} }
	held := claim(t, store, key("held"), lease)
	for _, id := range []string{"a", "b", "c"} {
		check(t, id, store.Complete(t.Context(), key(id), claim(t, store, key(id), lease), nil))
	}
	for _, id := range []string{"b", "c"} {
		wantEntry(t, store, key(id), idempotency.Published, nil)
	}
	claim(t, store, key("a"), lease)
	if _, err := store.Claim(t.Context(), key("held"), uuid.New(), lease); !isHeld(err) {
		t.Errorf("a claim was forgotten: %v", err)
	}
	check(t, "held", store.Complete(t.Context(), key("held"), held, nil))
}

func TestAMemoryForgetsTheAttemptsThatWereReleasedFirst(t *testing.T) {
	t.Parallel()
	store := idempotency.NewMemory(&idempotency.MemoryOptions{Entries: 2})
	key := func(id string) idempotency.Key { return idempotency.Key{ID: id} }
	try := func(id string, failed int) {
		t.Helper()
		token := uuid.New()
		entry, err := store.Claim(t.Context(), key(id), token, lease)
		check(t, id, err)
		wantPast(t, entry.Past, failed, 0)
		check(t, id, store.Release(t.Context(), key(id), token, idempotency.Failed))
	}
	try("a", 0)
	try("b", 0)
	try("a", 1) // which is the newest now
	try("c", 0)
	try("a", 2)
	try("b", 0)
}
