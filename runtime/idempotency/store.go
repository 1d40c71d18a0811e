package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/pipeline"
)

// Key names an event of a function. CloudEvents makes source and id unique together (CloudEvents 1.0, "id").
type Key struct {
	// Function is the Spec's name.
	Function string
	// Source and ID are the event's. They may hold any bytes and be of any length.
	Source, ID string
}

// String returns the key as errors tell it, cut where it is long.
func (k Key) String() string {
	const most = 200
	cut := func(s string) string { return s[:min(len(s), most)] }
	return fmt.Sprintf("event %q of %q for %s", cut(k.ID), cut(k.Source), k.Function)
}

// sum is what stands for the key in stores: texts of any length and content become 32 bytes, different ones others.
func (k Key) sum() []byte {
	h := sha256.New()
	for _, part := range []string{k.Function, k.Source, k.ID} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Token is the proof of a claim. Each claim has another one, so that whoever lost a claim cannot complete or release that
// of the next owner.
type Token = uuid.UUID

// State is how far an event has come.
type State int

// The states. Their numbers are stored.
const (
	// Claimed: somebody works on it. As the answer to a claim: the caller does.
	Claimed State = 1
	// Completed: it was handled, and what the handler returned may not be published yet.
	Completed State = 2
	// Published: it was handled, and there is nothing left to publish.
	Published State = 3
)

// Entry is the answer to a claim.
type Entry struct {
	State State
	// Outcome is what Complete was given, byte for byte, where State is Completed; nil otherwise.
	Outcome []byte
	// Past is what became of the claims before, where State is Claimed: those since the event was last completed, dropped or
	// forgotten. A claim is an attempt; one whose lease ended counts as crashed.
	Past pipeline.Past
}

// End says what an attempt counts as that gives its claim up.
type End int

// The ends.
const (
	// Uncounted: it was none, for what it needed was unavailable, or it was given up.
	Uncounted End = iota
	// Failed: it failed.
	Failed
	// Dropped: the event is finished without an outcome. Its attempts are forgotten.
	Dropped
)

// String returns the end as it is told to Redis.
func (e End) String() string {
	switch e {
	case Uncounted:
		return "uncounted"
	case Failed:
		return "failed"
	case Dropped:
		return "dropped"
	}
	return fmt.Sprintf("end %d", int(e))
}

// past is a Past as stores keep it, its time in milliseconds since 1970, 0 for none.
func past(failed, crashed, first int64) pipeline.Past {
	p := pipeline.Past{Failed: int(failed), Crashed: int(crashed)}
	if first > 0 {
		p.FirstFailure = time.UnixMilli(first).UTC()
	}
	return p
}

// Store keeps entries. Its methods may be called from many goroutines and processes at once; each is atomic. An error that
// is none of [HeldError], [ErrBusy] and [ErrLost] means that the store did not do its work, or that nobody knows: it is
// unreachable, or its answer was lost.
type Store interface {
	// Claim takes the event of key for lease, which is rounded to milliseconds. The answer's State is Claimed where the
	// caller owns it now, with token as its proof: nobody had it, or its last claim or entry has expired. A claim that is
	// repeated with the same token is Claimed again, and counts once. Completed and Published mean that there is nothing to
	// handle. Where another token holds the claim, the error is a [*HeldError]. A claim is counted for as long as the store's
	// retention, and lease, last.
	Claim(ctx context.Context, key Key, token Token, lease time.Duration) (Entry, error)
	// Complete stores the outcome of a claim, for as long as the store's retention. nil stands for nothing to publish: the
	// entry is Published at once. The error is [ErrLost] where token is not the proof of the last claim. Complete may be
	// repeated with the same arguments until Published is called.
	Complete(ctx context.Context, key Key, token Token, outcome []byte) error
	// Published notes that the outcome of a completed entry is published, and forgets the outcome. It changes no entry in
	// another state and may be repeated.
	Published(ctx context.Context, key Key) error
	// Release gives up the claim that token proves; end says what it counts as. It changes nothing where the claim is
	// another's, or completed. It may be repeated.
	Release(ctx context.Context, key Key, token Token, end End) error
	// Forget forgets the attempts at an event that nobody has claimed. It changes no entry that is claimed or completed.
	Forget(ctx context.Context, key Key) error
	// Close ends the store's goroutines and connections. What is kept stays.
	Close() error
}

// HeldError is the answer to a claim of an event that somebody else works on.
type HeldError struct {
	Key Key
	// Remaining is when the other's lease ends at the latest, from now on; 0 where the store does not know. It is no point
	// in time, for clocks differ.
	Remaining time.Duration
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is being handled by another owner", e.Key)
}

// The errors of stores that callers act on.
var (
	// ErrLost is the answer to completing a claim that was lost: its lease ended and the event was claimed anew, or its
	// entry was removed.
	ErrLost = errors.New("the claim was lost: its lease ended before the handler was done")
	// ErrBusy is the answer to a claim while all connections of the store are in use.
	ErrBusy = errors.New("all connections of the idempotency store are in use")
)
