package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/runtimetest"
)

const lease = time.Minute

var order = idempotency.Key{Function: "ship", Source: "/orders", ID: "1"}

// claim claims key with a new token, which must succeed.
func claim(t *testing.T, store idempotency.Store, key idempotency.Key, lease time.Duration) idempotency.Token {
	t.Helper()
	token := uuid.New()
	entry, err := store.Claim(t.Context(), key, token, lease)
	if err != nil || entry.State != idempotency.Claimed {
		t.Fatalf("Claim(%s) = %+v, %v", key, entry, err)
	}
	return token
}

func check(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantEntry checks the answer to another claim of key.
func wantEntry(t *testing.T, store idempotency.Store, key idempotency.Key, state idempotency.State, outcome []byte) {
	t.Helper()
	entry, err := store.Claim(t.Context(), key, uuid.New(), lease)
	if err != nil || entry.State != state || !bytes.Equal(entry.Outcome, outcome) {
		t.Errorf("Claim(%s) = state %d, %d bytes, %v; want state %d, %d bytes", key, entry.State, len(entry.Outcome), err, state, len(outcome))
	}
}

func isHeld(err error) bool {
	_, held := errors.AsType[*idempotency.HeldError](err)
	return held
}

func TestOneOfAHundredClaims(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		var claimed, held atomic.Int64
		var claimers sync.WaitGroup
		for range 100 {
			claimers.Go(func() {
				for {
					_, err := store.Claim(t.Context(), order, uuid.New(), lease)
					switch {
					case err == nil:
						claimed.Add(1)
					case isHeld(err):
						held.Add(1)
					case errors.Is(err, idempotency.ErrBusy):
						continue
					default:
						t.Error(err)
					}
					return
				}
			})
		}
		claimers.Wait()
		if claimed.Load() != 1 || held.Load() != 99 {
			t.Errorf("%d claimed and %d found it held, want 1 and 99", claimed.Load(), held.Load())
		}
	})
}

func TestAClaimThatIsHeldSaysForHowLong(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		claim(t, store, order, lease)
		_, err := store.Claim(t.Context(), order, uuid.New(), time.Hour)
		held, ok := errors.AsType[*idempotency.HeldError](err)
		if !ok || held.Remaining <= lease/2 || held.Remaining > lease || held.Key != order {
			t.Errorf("Claim() = %#v, want a HeldError that lasts a little less than %s", err, lease)
		}
	})
}

func TestAClaimMayBeRepeated(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		token := claim(t, store, order, lease)
		entry, err := store.Claim(t.Context(), order, token, lease)
		if err != nil || entry.State != idempotency.Claimed {
			t.Errorf("the same claim again: %+v, %v", entry, err)
		}
	})
}

func TestReleaseLetsTheNextIn(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		first := claim(t, store, order, lease)
		check(t, "Release", store.Release(t.Context(), order, first, idempotency.Failed))
		second := claim(t, store, order, lease)
		check(t, "Release of a claim that is another's now", store.Release(t.Context(), order, first, idempotency.Failed))
		if _, err := store.Claim(t.Context(), order, uuid.New(), lease); !isHeld(err) {
			t.Errorf("a stranger's token released the claim: %v", err)
		}
		check(t, "Complete", store.Complete(t.Context(), order, second, nil))
		check(t, "Release of what is completed", store.Release(t.Context(), order, second, idempotency.Failed))
		wantEntry(t, store, order, idempotency.Published, nil)
	})
}

func TestAnExpiredLeaseIsLost(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		first := claim(t, store, order, 50*time.Millisecond)
		var second idempotency.Token
		runtimetest.Eventually(t, "the end of the lease", func() bool {
			second = uuid.New()
			_, err := store.Claim(t.Context(), order, second, lease)
			return err == nil
		})
		if err := store.Complete(t.Context(), order, first, []byte("stale")); !errors.Is(err, idempotency.ErrLost) {
			t.Errorf("Complete() with a stale token = %v, want ErrLost", err)
		}
		check(t, "Complete", store.Complete(t.Context(), order, second, []byte("fresh")))
		wantEntry(t, store, order, idempotency.Completed, []byte("fresh"))
		if err := store.Complete(t.Context(), order, first, []byte("stale")); !errors.Is(err, idempotency.ErrLost) {
			t.Errorf("Complete() with a stale token after another completed = %v, want ErrLost", err)
		}
	})
}

func TestWhatWasNeverClaimedCannotBeCompleted(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		if err := store.Complete(t.Context(), order, uuid.New(), nil); !errors.Is(err, idempotency.ErrLost) {
			t.Errorf("Complete() = %v, want ErrLost", err)
		}
		check(t, "Published", store.Published(t.Context(), order))
		check(t, "Release", store.Release(t.Context(), order, uuid.New(), idempotency.Failed))
		claim(t, store, order, lease)
		check(t, "Published", store.Published(t.Context(), order))
		if _, err := store.Claim(t.Context(), order, uuid.New(), lease); !isHeld(err) {
			t.Errorf("Published changed a claim: %v", err)
		}
	})
}

func TestOutcomesComeBackByteForByte(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	each(t, all, func(t *testing.T, store idempotency.Store) {
		for name, outcome := range map[string][]byte{
			"empty": {}, "one NUL": {0}, "every byte": every, "1 MB": large, "text": []byte("naïve \r\n ☃"),
		} {
			key := idempotency.Key{Function: "f", Source: "/outcomes", ID: name}
			token := claim(t, store, key, lease)
			for range 2 { // it may be repeated
				check(t, name, store.Complete(t.Context(), key, token, outcome))
			}
			for range 2 {
				wantEntry(t, store, key, idempotency.Completed, outcome)
			}
			for range 2 {
				check(t, name, store.Published(t.Context(), key))
				wantEntry(t, store, key, idempotency.Published, nil)
			}
		}
	})
}

func TestKeysAreTakenByteForByte(t *testing.T) {
	t.Parallel()
	long, zeros := strings.Repeat("l", 1<<20), strings.Repeat("\x00", 8)
	keys := []idempotency.Key{
		{Function: "f", Source: "s", ID: "i"},
		{Function: "g", Source: "s", ID: "i"},
		{Function: "f", Source: "si", ID: ""},
		{Function: "f", Source: "", ID: "si"},
		{Function: "fs", Source: "", ID: "i"},
		{Function: "f", Source: "s", ID: "i\x00"},
		{Function: "f", Source: "s\x00", ID: "i"},
		{Function: "f", Source: "s", ID: "I"},
		{Function: "f", Source: "s", ID: "i "},
		{Function: "f", Source: "s", ID: "é"},
		{Function: "f", Source: "s", ID: "e\u0301"},
		{Function: "f", Source: "s", ID: "\xff\xfe"},
		{Function: "f", Source: "s", ID: "'; DROP TABLE millrace_idempotency; --"},
		{Function: "f", Source: "s", ID: long},
		{Function: "f", Source: "s", ID: long + "l"},
		{Function: "f", Source: long, ID: "i"},
		{Function: "f", Source: "a", ID: "b" + zeros + "c"},
		{Function: "f", Source: "a" + zeros + "b", ID: "c"},
		{},
	}
	each(t, all, func(t *testing.T, store idempotency.Store) {
		for _, key := range keys {
			claim(t, store, key, lease)
		}
		for _, key := range keys {
			if _, err := store.Claim(t.Context(), key, uuid.New(), lease); !isHeld(err) || len(err.Error()) > 2000 {
				t.Errorf("second claim of %s: %v", key, err)
			}
		}
	})
}

func TestWhatIsCompletedIsForgottenAfterTheRetention(t *testing.T) {
	t.Parallel()
	for _, k := range all {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			store := k.opened(t, k.place(t), 300*time.Millisecond)
			token := claim(t, store, order, lease)
			check(t, "Complete", store.Complete(t.Context(), order, token, []byte("outcome")))
			wantEntry(t, store, order, idempotency.Completed, []byte("outcome"))
			runtimetest.Eventually(t, "the end of the retention", func() bool {
				entry, err := store.Claim(t.Context(), order, uuid.New(), lease)
				return err == nil && entry.State == idempotency.Claimed && entry.Outcome == nil
			})
		})
	}
}

// Several processes share a store, and start at the same moment on an empty database.
func TestProcessesShareAStore(t *testing.T) {
	t.Parallel()
	for _, k := range shared {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			const processes, events = 4, 25
			place := k.place(t)
			var claimed atomic.Int64
			var running sync.WaitGroup
			for range processes {
				running.Go(func() {
					store, err := k.open(t.Context(), place, retention)
					if err != nil {
						t.Error(err)
						return
					}
					defer store.Close()
					for i := range events {
						claimed.Add(int64(claimAndComplete(t, store, i)))
					}
				})
			}
			running.Wait()
			if claimed.Load() != events {
				t.Errorf("%d claims of %d events", claimed.Load(), events)
			}
		})
	}
}

func claimAndComplete(t *testing.T, store idempotency.Store, event int) (claims int) {
	key, token := idempotency.Key{Function: "f", Source: "/s", ID: string(rune('a' + event))}, uuid.New()
	entry, err := store.Claim(t.Context(), key, token, lease)
	for errors.Is(err, idempotency.ErrBusy) {
		entry, err = store.Claim(t.Context(), key, token, lease)
	}
	if isHeld(err) || (err == nil && entry.State != idempotency.Claimed) {
		return 0
	}
	if err != nil {
		t.Error(err)
		return 0
	}
	if err := store.Complete(t.Context(), key, token, nil); err != nil {
		t.Error(err)
	}
	return 1
}

func TestAStoreThatIsOpenedAgainRemembers(t *testing.T) {
	t.Parallel()
	for _, k := range shared {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			place := k.place(t)
			store, err := k.open(t.Context(), place, retention)
			check(t, "open", err)
			token := claim(t, store, order, lease)
			check(t, "Complete", store.Complete(t.Context(), order, token, []byte("kept")))
			check(t, "Close", store.Close())
			wantEntry(t, k.opened(t, place, retention), order, idempotency.Completed, []byte("kept"))
		})
	}
}

func TestACanceledContextEndsAClaim(t *testing.T) {
	t.Parallel()
	each(t, shared, func(t *testing.T, store idempotency.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := store.Claim(ctx, order, uuid.New(), lease); !errors.Is(err, context.Canceled) {
			t.Errorf("Claim() = %v, want context.Canceled", err)
		}
		claim(t, store, order, lease)
	})
}
