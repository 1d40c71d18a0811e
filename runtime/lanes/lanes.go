// Package lanes runs work concurrently and keeps the order of each key. A lane is the queue of one key: it exists while
// something of that key is in flight, its items run one at a time and in order, and any free worker serves it. Keys are
// never hashed into buckets: buckets would make strangers wait for each other.
//
// It knows nothing of Kafka and imports the standard library alone.
package lanes

import (
	"context"
	"sync/atomic"
	"time"
)

// turn is how many items of a lane a worker runs before it looks for other lanes.
const turn = 64

// Result says what becomes of an item that ran.
type Result struct {
	again bool
	after time.Duration
}

// Finished says that the item is done with: its lane goes on.
func Finished() Result { return Result{} }

// Again says that the item must run again, no sooner than after. Its lane is parked until then: what follows in it
// waits, other lanes go on, and no worker is held.
func Again(after time.Duration) Result { return Result{again: true, after: after} }

// Item is something to run in the lane of a key.
type Item[T any] struct {
	Key   uint64
	Value T
}

// Options of Lanes. The zero value is the default.
type Options[T any] struct {
	// Parked is told of each item that begins to wait in a parked lane, so that it can give up what it borrowed. It is
	// called before the item runs and must be quick.
	Parked func(T)
}

// Lanes are the lanes of one stream of items, such as a partition. Its methods are safe for concurrent use.
type Lanes[T any] struct {
	pool   *Pool
	handle func(T) Result
	parked func(T)

	// closed is written with the pool locked and read without, between the items of a turn.
	closed atomic.Bool
	idle   chan struct{}

	// What follows is guarded by pool.mu.
	lanes map[uint64]*lane[T]
	free  []*lane[T]
	busy  int
}

// New returns Lanes whose items are run by handle, on the workers of pool.
func New[T any](pool *Pool, handle func(T) Result, o *Options[T]) *Lanes[T] {
	l := &Lanes[T]{pool: pool, handle: handle, parked: func(T) {}, lanes: map[uint64]*lane[T]{}, idle: make(chan struct{})}
	if o != nil && o.Parked != nil {
		l.parked = o.Parked
	}
	return l
}

// Submit adds items at the end of their lanes. It never blocks: the caller bounds what is in flight. After Close it does
// nothing.
func (l *Lanes[T]) Submit(items []Item[T]) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.closed.Load() {
		return
	}
	for _, it := range items {
		ln, ok := l.lanes[it.Key]
		if !ok {
			ln = l.newLane(it.Key)
			l.pool.push(ln)
		}
		if ln.timer != nil {
			l.parked(it.Value)
		}
		ln.items = append(ln.items, it.Value)
	}
}

// Close ends the intake: no item starts from now on, and items that wait are forgotten. Those that run go on: Wait waits
// for them.
func (l *Lanes[T]) Close() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.closed.Swap(true) {
		return
	}
	for _, ln := range l.lanes {
		if ln.timer != nil {
			ln.timer.Stop()
		}
	}
	l.lanes, l.free = nil, nil
	if l.busy == 0 {
		close(l.idle)
	}
}

// Wait blocks until nothing runs any more, after Close, or until ctx ends: then it returns ctx's error, and something
// still runs.
func (l *Lanes[T]) Wait(ctx context.Context) error {
	select {
	case <-l.idle:
		return nil
	default:
	}
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
