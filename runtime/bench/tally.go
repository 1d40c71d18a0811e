package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// tally is told of each event that a peer handles. Its methods may be called concurrently.
type tally struct {
	want       int64
	pause      time.Duration
	failing    string
	handled    atomic.Int64
	violations atomic.Int64
	strangers  atomic.Int64
	attempts   atomic.Int64
	// next is the sequence number that is expected of each key.
	next [keys]atomic.Int64

	first, last atomic.Pointer[moment]
	// done is closed when all that is wanted was handled.
	done chan struct{}
}

func newTally(j *job) *tally {
	return &tally{want: int64(j.Records), pause: j.Pause, failing: j.Failing, done: make(chan struct{})}
}

var errAlways = errors.New("this event always fails")

// handle is what each peer's handler does with the event of this id. It sees when an event comes before an earlier one of
// its key, twice, or while another of its key is being handled.
func (t *tally) handle(id string) error {
	t.begin()
	if id == t.failing {
		t.attempts.Add(1)
		return errAlways
	}
	key, sequence, ok := placeOf(id)
	if !ok {
		t.strangers.Add(1)
		return nil
	}
	next := &t.next[key%keys]
	if expected := next.Swap(int64(sequence) + 1); expected != int64(sequence) {
		t.violations.Add(1)
	}
	if t.pause > 0 {
		time.Sleep(t.pause)
		if next.Load() != int64(sequence)+1 {
			t.violations.Add(1)
		}
	}
	t.count()
	return nil
}

// count takes note of an event that is done with.
func (t *tally) count() {
	if t.handled.Add(1) == t.want {
		t.end()
		close(t.done)
	}
}

// begin notes when the work began. Calls after the first do nothing.
func (t *tally) begin() {
	if t.first.Load() == nil {
		start := now()
		t.first.CompareAndSwap(nil, &start)
	}
}

// end notes when the work was done.
func (t *tally) end() {
	end := now()
	t.last.Store(&end)
}

// wait returns when every event was handled, or when nobody wants more; or an error when the peer ended before.
func (t *tally) wait(ended <-chan error, told <-chan struct{}) error {
	select {
	case <-t.done:
		return nil
	case <-told:
		t.end()
		return nil
	case err := <-ended:
		return fmt.Errorf("%d of %d events were handled, and %d strange ones: %w",
			t.handled.Load(), t.want, t.strangers.Load(), errors.Join(err, errUnfinished))
	}
}

var errUnfinished = errors.New("the peer gave up")

// account returns what the tally and the system know of the work.
func (t *tally) account() *account {
	a := &account{
		Handled:    t.handled.Load(),
		Violations: t.violations.Load(),
		Attempts:   t.attempts.Load(),
		Peak:       peakMemory(),
	}
	first, last := t.first.Load(), t.last.Load()
	if first == nil {
		first = last
	}
	a.First, a.Last, a.Processor = first.at, last.at, last.processor-first.processor
	return a
}
