package lanes

import "time"

const (
	// keptLanes and keptItems are the most lanes, and the largest queues, that are kept for reuse.
	keptLanes = 1024
	keptItems = 4 * turn
	// burst is the room of a new queue: what happens to one thing happens in bursts.
	burst = 8
)

// lane is the queue of one key. items, head and timer are guarded by the pool; batch, done and last belong to the worker
// that runs the lane.
type lane[T any] struct {
	of  *Lanes[T]
	key uint64

	items []T
	head  int
	// timer is set while the lane is parked.
	timer *time.Timer

	batch []T
	done  int
	last  Result
}

// newLane returns an empty lane. The pool is locked.
func (l *Lanes[T]) newLane(key uint64) *lane[T] {
	var ln *lane[T]
	if n := len(l.free); n > 0 {
		ln, l.free = l.free[n-1], l.free[:n-1]
	} else {
		ln = &lane[T]{of: l, items: make([]T, 0, burst)}
	}
	ln.key = key
	l.lanes[key] = ln
	return ln
}

// retire forgets a lane that is empty. The pool is locked.
func (ln *lane[T]) retire() {
	delete(ln.of.lanes, ln.key)
	if len(ln.of.free) < keptLanes && cap(ln.items) <= keptItems {
		ln.items, ln.head = ln.items[:0], 0
		ln.of.free = append(ln.of.free, ln)
	}
}

func (ln *lane[T]) begin() bool {
	if ln.of.closed.Load() {
		return false
	}
	ln.of.busy++
	ln.batch = ln.items[ln.head:min(ln.head+turn, len(ln.items))]
	ln.done, ln.last = 0, Result{}
	return true
}

func (ln *lane[T]) run() {
	for i, item := range ln.batch {
		if ln.of.closed.Load() || i > 0 && ln.of.pool.crowded.Load() {
			return
		}
		if ln.last = ln.of.handle(item); ln.last.again {
			return
		}
		ln.done++
	}
}

func (ln *lane[T]) end() (finished int, more bool) {
	l := ln.of
	ln.batch = nil
	l.busy--
	if l.closed.Load() {
		if l.busy == 0 {
			close(l.idle)
		}
		return ln.done, false
	}
	ln.drop(ln.done)
	switch {
	case ln.last.again:
		ln.park(ln.last.after)
		return ln.done, false
	case ln.head == len(ln.items):
		ln.retire()
		return ln.done, false
	default:
		return ln.done, true
	}
}

// drop takes the first n items out of the queue.
func (ln *lane[T]) drop(n int) {
	clear(ln.items[ln.head : ln.head+n])
	ln.head += n
	if ln.head > len(ln.items)/2 {
		left := copy(ln.items, ln.items[ln.head:])
		clear(ln.items[left:])
		ln.items, ln.head = ln.items[:left], 0
	}
}

// park takes the lane out of service for a while. The pool is locked.
func (ln *lane[T]) park(after time.Duration) {
	for _, item := range ln.items[ln.head:] {
		ln.of.parked(item)
	}
	ln.timer = time.AfterFunc(after, ln.unpark)
}

func (ln *lane[T]) unpark() {
	ln.of.pool.mu.Lock()
	defer ln.of.pool.mu.Unlock()
	if ln.of.closed.Load() {
		return
	}
	ln.timer = nil
	ln.of.pool.push(ln)
}
