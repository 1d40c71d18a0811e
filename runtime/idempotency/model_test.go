package idempotency_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/pipeline"
)

// model is what a store should know of one event.
type model struct {
	state   idempotency.State
	outcome []byte
	failed  int
	crashed int
	// owner is the token of the claim, nil where there is none; lapsed says that its lease has ended.
	owner  idempotency.Token
	lapsed bool
}

// machine takes a store and the model of it through the same steps.
type machine struct {
	store idempotency.Store
	key   idempotency.Key
	model model
	// tokens are those that claimed or tried to, in this order.
	tokens []idempotency.Token
}

// token draws one that was seen before, or a new one.
func (m *machine) token(t *rapid.T) idempotency.Token {
	if len(m.tokens) > 0 && rapid.IntRange(0, 2).Draw(t, "which token") > 0 {
		return rapid.SampledFrom(m.tokens[max(0, len(m.tokens)-3):]).Draw(t, "token")
	}
	m.tokens = append(m.tokens, uuid.New())
	return m.tokens[len(m.tokens)-1]
}

func (m *machine) Claim(t *rapid.T) {
	m.claim(t, m.token(t), lease)
}

// Lapse claims with a lease that ends at once.
func (m *machine) Lapse(t *rapid.T) {
	if m.model.state == 0 && (m.model.owner == uuid.Nil || m.model.lapsed) {
		m.claim(t, m.token(t), time.Millisecond)
		m.model.lapsed = true
	}
}

func (m *machine) claim(t *rapid.T, token idempotency.Token, lease time.Duration) {
	entry, err := m.store.Claim(t.Context(), m.key, token, lease)
	for deadline := time.Now().Add(10 * time.Second); m.model.lapsed && isHeld(err) && time.Now().Before(deadline); {
		entry, err = m.store.Claim(t.Context(), m.key, token, lease)
	}
	held := m.model.owner != uuid.Nil && m.model.owner != token && !m.model.lapsed
	switch {
	case m.model.state == idempotency.Completed, m.model.state == idempotency.Published:
		if err != nil || entry.State != m.model.state || !bytes.Equal(entry.Outcome, m.model.outcome) {
			t.Fatalf("Claim() = %+v, %v, want state %d with outcome %q", entry, err, m.model.state, m.model.outcome)
		}
		return
	case held:
		if !isHeld(err) {
			t.Fatalf("Claim() = %+v, %v, want it held", entry, err)
		}
		return
	}
	if m.model.lapsed && m.model.owner != token {
		m.model.crashed++
	}
	m.model.owner, m.model.lapsed = token, false
	want := pipeline.Past{Failed: m.model.failed, Crashed: m.model.crashed, FirstFailure: entry.Past.FirstFailure}
	if err != nil || entry.State != idempotency.Claimed || entry.Outcome != nil || entry.Past != want ||
		entry.Past.FirstFailure.IsZero() != (m.model.failed == 0) {
		t.Fatalf("Claim() = %+v, %v, want it claimed after %+v", entry, err, want)
	}
}

func (m *machine) Complete(t *rapid.T) {
	if m.model.lapsed {
		return // a store may have forgotten the claim, or not
	}
	token := m.token(t)
	outcome := rapid.SampledFrom([][]byte{nil, {}, []byte("outcome")}).Draw(t, "outcome")
	mine := token == m.model.owner
	if mine && m.model.state == idempotency.Published {
		return // it may be repeated until it is published
	}
	if mine && m.model.state == idempotency.Completed {
		outcome = m.model.outcome // with the same arguments
	}
	err := m.store.Complete(t.Context(), m.key, token, outcome)
	if errors.Is(err, idempotency.ErrLost) == mine || (mine && err != nil) {
		t.Fatalf("Complete() = %v, want it done: %t", err, mine)
	}
	if mine {
		m.model = model{state: idempotency.Completed, outcome: outcome, owner: token}
		if outcome == nil {
			m.model.state = idempotency.Published
		}
	}
}

func (m *machine) Published(t *rapid.T) {
	noError(t, m.store.Published(t.Context(), m.key))
	if m.model.state == idempotency.Completed {
		m.model.state, m.model.outcome = idempotency.Published, nil
	}
}

func (m *machine) Release(t *rapid.T) {
	token := m.token(t)
	end := rapid.SampledFrom([]idempotency.End{idempotency.Uncounted, idempotency.Failed, idempotency.Dropped}).Draw(t, "end")
	noError(t, m.store.Release(t.Context(), m.key, token, end))
	if token != m.model.owner || m.model.state != 0 {
		return
	}
	m.model.owner, m.model.lapsed = uuid.Nil, false
	if end == idempotency.Failed {
		m.model.failed++
	}
	if end == idempotency.Dropped {
		m.model = model{}
	}
}

func (m *machine) Forget(t *rapid.T) {
	if m.model.lapsed {
		return // it is too soon to say whether the lease has ended
	}
	noError(t, m.store.Forget(t.Context(), m.key))
	if m.model.owner == uuid.Nil {
		m.model = model{}
	}
}

func noError(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// Each store does what the model does, in whichever order things happen.
func TestStoresFollowTheModel(t *testing.T) {
	t.Parallel()
	each(t, all, func(t *testing.T, store idempotency.Store) {
		rapid.Check(t, func(t *rapid.T) {
			m := &machine{store: store, key: idempotency.Key{Function: "model", ID: uuid.NewString()}}
			t.Repeat(map[string]func(*rapid.T){
				"Claim": m.Claim, "Lapse": m.Lapse, "Complete": m.Complete, "Published": m.Published, "Release": m.Release, "Forget": m.Forget,
			})
		})
	})
}
