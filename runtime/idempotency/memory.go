package idempotency

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"
)

// DefaultEntries is how many completed entries a [Memory] keeps at most.
const DefaultEntries = 1_000_000

// MemoryOptions are the settings of a [Memory]. The zero value is the default.
type MemoryOptions struct {
	// Retention is how long a completed entry is kept. Default: DefaultRetention.
	Retention time.Duration
	// Entries is how many completed entries are kept at most; beyond, those that were completed first are forgotten.
	// Default: DefaultEntries, which take up about 200 MB.
	Entries int
}

// Memory is a Store in the memory of a process. It survives nothing and no other process sees it: it spares a function
// events that its process has seen before, and serves tests.
type Memory struct {
	retention time.Duration
	most      int

	mu      sync.Mutex
	entries map[string]*memoryEntry
	// completed holds what is kept in the order of its completion, which is that of its expiry.
	completed *list.List
}

type memoryEntry struct {
	Entry

	key   string
	token Token
	until time.Time
	// place is where a completed entry stands in Memory.completed.
	place *list.Element
}

// NewMemory returns an empty Memory. o may be nil.
func NewMemory(o *MemoryOptions) *Memory {
	m := &Memory{retention: DefaultRetention, most: DefaultEntries, entries: map[string]*memoryEntry{}, completed: list.New()}
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
		e = &memoryEntry{key: sum}
		m.entries[sum] = e
	case e.State != Claimed:
		return Entry{State: e.State, Outcome: bytes.Clone(e.Outcome)}, nil
	case e.token != token && now.Before(e.until):
		return Entry{}, &HeldError{Key: key, Remaining: e.until.Sub(now)}
	}
	e.State, e.token, e.until = Claimed, token, now.Add(lease)
	return Entry{State: Claimed}, nil
}

// Complete implements [Store].
func (m *Memory) Complete(_ context.Context, key Key, token Token, outcome []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[string(key.sum())]
	if !ok || e.token != token {
		return ErrLost
	}
	e.State, e.Outcome = Completed, bytes.Clone(outcome)
	if outcome == nil {
		e.State = Published
	}
	now := time.Now()
	e.until = now.Add(m.retention)
	if e.place == nil {
		e.place = m.completed.PushBack(e)
	}
	m.expire(now)
	return nil
}

// Published implements [Store].
func (m *Memory) Published(_ context.Context, key Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[string(key.sum())]; ok && e.State == Completed {
		e.Entry = Entry{State: Published}
	}
	return nil
}

// Release implements [Store].
func (m *Memory) Release(_ context.Context, key Key, token Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := string(key.sum())
	if e, ok := m.entries[sum]; ok && e.State == Claimed && e.token == token {
		delete(m.entries, sum)
	}
	return nil
}

// Close implements [Store]. There is nothing to end.
func (m *Memory) Close() error { return nil }

// expire forgets completed entries that are too old or too many. Claims are as many as events in flight.
func (m *Memory) expire(now time.Time) {
	for first := m.completed.Front(); first != nil; first = m.completed.Front() {
		e := first.Value.(*memoryEntry)
		if m.completed.Len() <= m.most && now.Before(e.until) {
			return
		}
		m.completed.Remove(first)
		delete(m.entries, e.key)
	}
}
