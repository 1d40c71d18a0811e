// Package frontier keeps, for one partition, the highest offset up to which every record is finished: the only offset
// that may be committed. Records finish in any order; the frontier stops at the first that has not.
//
// It knows nothing of Kafka and imports the standard library alone.
package frontier

import (
	"fmt"
	"sync/atomic"
)

// chunkSize is how many marks are allocated at once.
const chunkSize = 256

// Mark is the place of one started record. Finish may be called from any goroutine, once or more.
type Mark struct {
	offset   int64
	finished atomic.Bool
}

// Finish says that nothing remains to be done for the record.
func (m *Mark) Finish() { m.finished.Store(true) }

// Offset returns the record's offset.
func (m *Mark) Offset() int64 { return m.offset }

// Frontier is the frontier of one partition. Its methods belong to one goroutine; only the marks it hands out are shared.
//
// It counts the records it was given, not offsets: compaction and transaction markers leave gaps between them.
type Frontier struct {
	head, tail *chunk
	// first is the place of the oldest unfinished mark in head, free the next unused one in tail.
	first, free int
	length      int
	next        int64
	last        int64
}

type chunk struct {
	marks [chunkSize]Mark
	next  *chunk
}

// New returns a frontier that stands at next, the offset of the first record to come or any offset below it.
func New(next int64) *Frontier {
	c := &chunk{}
	return &Frontier{head: c, tail: c, next: next, last: next - 1}
}

// Start adds the record at offset and returns its mark. Offsets must ascend: one that does not is an error, because
// everything from there on would be counted twice or not at all.
func (f *Frontier) Start(offset int64) (*Mark, error) {
	if offset <= f.last {
		return nil, fmt.Errorf("offset %d came after offset %d", offset, f.last)
	}
	if f.free == chunkSize {
		f.tail.next = &chunk{}
		f.tail, f.free = f.tail.next, 0
	}
	m := &f.tail.marks[f.free]
	m.offset = offset
	f.free++
	f.length++
	f.last = offset
	return m, nil
}

// Advance moves the frontier past every record that is finished without a gap. It returns the offset to commit, the one
// after the last of them, and whether it moved.
func (f *Frontier) Advance() (next int64, moved bool) {
	for f.length > 0 {
		if f.first == chunkSize {
			f.head, f.first = f.head.next, 0
		}
		m := &f.head.marks[f.first]
		if !m.finished.Load() {
			break
		}
		f.next, moved = m.offset+1, true
		f.first++
		f.length--
	}
	return f.next, moved
}

// Next returns the offset to commit, as of the last Advance.
func (f *Frontier) Next() int64 { return f.next }

// Len returns how many records lie between the frontier and the newest, finished or not.
func (f *Frontier) Len() int { return f.length }
