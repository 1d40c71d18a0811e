// Package frontier keeps, for one partition, the highest offset up to which every record is finished: the only offset
// that may be committed. Records finish in any order; the frontier stops at the first that has not.
//
// What finished beyond it, and how often the unfinished were attempted, travels in the metadata of the commit: State
// returns it, String writes it, the next owner of the partition reads it by Parse and goes on with Restore.
//
// It knows nothing of Kafka and imports the standard library alone.
package frontier

import (
	"fmt"
	"iter"
)

// chunkSize is how many marks are allocated at once.
const chunkSize = 256

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
	restored    restored
}

type chunk struct {
	marks [chunkSize]Mark
	next  *chunk
}

// New returns a frontier that stands at next, the offset of the first record to come or any offset below it.
func New(next int64) *Frontier { return Restore(State{Next: next}) }

// Start adds the record at offset and returns its mark. The mark is finished already where a former owner finished the
// record: then the caller has nothing to do for it. Offsets must ascend: one that does not is an error, because everything
// from there on would be counted twice or not at all.
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
	if !f.restored.empty() {
		m.packed.Store(f.restored.take(offset))
	}
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
		if !m.Finished() {
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

// marks returns the marks between the frontier and the newest record, in the order of their offsets.
func (f *Frontier) marks() iter.Seq[*Mark] {
	return func(yield func(*Mark) bool) {
		c, i := f.head, f.first
		for range f.length {
			if i == chunkSize {
				c, i = c.next, 0
			}
			if !yield(&c.marks[i]) {
				return
			}
			i++
		}
	}
}
