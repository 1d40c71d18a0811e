package idempotency

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/pipeline"
)

// DefaultEntries is how many entries a [Memory] keeps at most.
const DefaultEntries = 1_000_000

// MemoryOptions are the settings of a [Memory]. The zero value is the default.
type MemoryOptions struct {
	// Retention is how long an entry is kept. Default: DefaultRetention.
	Retention time.Duration
	// Entries is how many entries are kept at most, those of events in flight aside; beyond, those that were completed or
	// released first are forgotten. Default: DefaultEntries, which take up about 200 MB.
	Entries int
}

// Memory is a Store in the memory of a process. It survives nothing and no other process sees it: it spares a function
// events that its process has seen before, and serves tests.
type Memory struct {
	retention time.Duration
	most      int

	mu      sync.Mutex
	entries map[string]*memoryEntry
	// kept holds what nobody works on, in the order in which that came about, which is that of its expiry.
	kept *list.List
}

type memoryEntry struct {
	state   State
	outcome []byte
	// past are the attempts before the one that is claimed.
	past pipeline.Past

	key   string
	token Token
	// until is the end of the lease, or of the retention.
	until time.Time
	// place is where the entry stands in Memory.kept, nil while it is claimed.
	place *list.Element
}

// NewMemory returns an empty Memory. o may be nil.
func NewMemory(o *MemoryOptions) *Memory {
	m := &Memory{retention: DefaultRetention, most: DefaultEntries, entries: map[string]*memoryEntry{}, kept: list.New()}
	if o != nil && o.Retention > 0 {
		m.retention = o.Retention
	}
	if o != nil && o.Entries > 0 {
		m.most = o.Entries
	}
	return m
}

// Claim implements [Store].
func (m *Memory) Claim(_ context.Context, key Key, token Token, lease time.Duration) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expire(now)
	sum := string(key.sum())
	e, ok := m.entries[sum]
	switch {
	case !ok:
		e = &memoryEntry{state: Claimed, key: sum}
		m.entries[sum] = e
	case e.state != Claimed:
		return Entry{State: e.state, Outcome: bytes.Clone(e.outcome)}, nil
	case e.place != nil: // released
		m.kept.Remove(e.place)
		e.place = nil
	case e.token == token:
	case now.Before(e.until):
		return Entry{}, &HeldError{Key: key, Remaining: e.until.Sub(now)}
	case now.Before(e.until.Add(m.retention)):
		e.past.Crashed++
	default:
		e.past = pipeline.Past{}
	}
	e.token, e.until = token, now.Add(lease)
	return Entry{State: Claimed, Past: e.past}, nil
}

// Complete implements [Store].
func (m *Memory) Complete(_ context.Context, key Key, token Token, outcome []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[string(key.sum())]
	if !ok || e.token != token {
		return ErrLost
	}
	e.state, e.outcome, e.past = Completed, bytes.Clone(outcome), pipeline.Past{}
	if outcome == nil {
		e.state = Published
	}
	m.keep(e)
	return nil
}

// Published implements [Store].
func (m *Memory) Published(_ context.Context, key Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[string(key.sum())]; ok && e.state == Completed {
		e.state, e.outcome = Published, nil
	}
	return nil
}

// Release implements [Store].
func (m *Memory) Release(_ context.Context, key Key, token Token, end End) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[string(key.sum())]
	if !ok || e.state != Claimed || e.token != token {
		return nil
	}
	if end == Failed {
		e.past.Failed++
		if e.past.FirstFailure.IsZero() {
			e.past.FirstFailure = time.Now()
		}
	}
	if end == Dropped || e.past == (pipeline.Past{}) {
		delete(m.entries, e.key)
		return nil
	}
	e.token = Token{}
	m.keep(e)
	return nil
}

// Forget implements [Store].
func (m *Memory) Forget(_ context.Context, key Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[string(key.sum())]
	switch {
	case !ok || e.state != Claimed:
	case e.place != nil:
		m.kept.Remove(e.place)
		delete(m.entries, e.key)
	case !time.Now().Before(e.until):
		delete(m.entries, e.key)
	}
	return nil
}

// Close implements [Store]. There is nothing to end.
func (m *Memory) Close() error { return nil }

// keep keeps an entry that nobody works on any more.
func (m *Memory) keep(e *memoryEntry) {
	now := time.Now()
	e.until = now.Add(m.retention)
	if e.place == nil {
		e.place = m.kept.PushBack(e)
	}
	m.expire(now)
}

// expire forgets entries that are too old or too many. Claims are as many as events in flight.
func (m *Memory) expire(now time.Time) {
	for first := m.kept.Front(); first != nil; first = m.kept.Front() {
		e := first.Value.(*memoryEntry)
		if m.kept.Len() <= m.most && now.Before(e.until) {
			return
		}
		m.kept.Remove(first)
		delete(m.entries, e.key)
	}
}
