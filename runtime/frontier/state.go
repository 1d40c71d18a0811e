package frontier

import (
	"slices"
	"time"
)

// Run is a stretch of offsets, From to To, both included. Each record between them is finished; there may be offsets
// between them without a record.
type Run struct{ From, To int64 }

// Failing is an unfinished record whose attempts failed.
type Failing struct {
	Offset int64
	// Attempts is how many attempts failed, 1 to 255.
	Attempts int
	// First is when the first of them did, in UTC and to the second; the zero time where that is not known.
	First time.Time
}

// State is what the metadata of a commit holds beside the offset: what is known of the records from there on.
type State struct {
	// Next is the committed offset that the state belongs to. Where the commit has another offset, somebody else moved it
	// and the state is void: the reader of a commit compares the two.
	Next int64
	// Serial is a number that the writer chooses to recognise its own commit.
	Serial uint64
	// Open says that the owner has not let the partition go: when somebody else reads it, the owner ended without a goodbye.
	Open bool
	// Reserved is the offset below which the owner may have started records without a trace.
	Reserved int64
	// Suspects holds, for each former owner that ended without a goodbye, its Reserved: an unfinished record below it may have
	// had one more attempt than is known. They ascend, and may repeat. Those at or below Next concern no record any more.
	Suspects []int64
	// Finished are the finished records at or above Next. The runs ascend, with at least one offset between two of them.
	Finished []Run
	// Failing are unfinished records whose attempts failed. Their offsets ascend; none lies in a run of Finished.
	Failing []Failing
}

// restored is what is known of records that have not come yet.
type restored struct {
	finished []Run
	failing  []Failing
	suspects []int64
}

func newRestored(s State) restored {
	r := restored{
		finished: slices.Clone(s.Finished),
		failing:  slices.Clone(s.Failing),
		suspects: slices.Clone(s.Suspects),
	}
	r.take(s.Next - 1)
	return r
}

func (r *restored) empty() bool { return len(r.finished)+len(r.failing)+len(r.suspects) == 0 }

// take returns what is known of the record at offset, packed as in a Mark, and forgets it together with all that was known
// of offsets below: they will not come any more.
func (r *restored) take(offset int64) (packed uint64) {
	for len(r.suspects) > 0 && r.suspects[0] <= offset {
		r.suspects = r.suspects[1:]
	}
	packed = uint64(count(len(r.suspects))) << suspectedShift
	for len(r.failing) > 0 && r.failing[0].Offset <= offset {
		if f := r.failing[0]; f.Offset == offset {
			packed |= packFailure(f.Attempts, f.First)
		}
		r.failing = r.failing[1:]
	}
	for len(r.finished) > 0 && r.finished[0].From <= offset {
		if r.finished[0].To > offset {
			r.finished[0].From = offset + 1
			return packed | finishedBit
		}
		if r.finished[0].To == offset {
			packed |= finishedBit
		}
		r.finished = r.finished[1:]
	}
	return packed
}

// Restore returns a frontier that stands at s.Next and remembers what s, as Parse or State returned it, knows of the
// records from there on. What it knows of offsets that never come is forgotten as Start passes them.
func Restore(s State) *Frontier {
	c := &chunk{}
	return &Frontier{head: c, tail: c, next: s.Next, last: s.Next - 1, restored: newRestored(s)}
}

// State returns what is known now: Next as of the last Advance, Finished and Failing, restored ones that have not come yet
// included. The other fields are the caller's to fill in. The farthest runs are left out where there are more than a
// commit can hold.
func (f *Frontier) State() State {
	s := State{Next: f.next}
	growing := false // whether the last of s.Finished ends with the mark before
	for m := range f.marks() {
		packed := m.packed.Load()
		if packed&finishedBit == 0 {
			growing = false
			if attempts, first := unpackFailure(packed); attempts > 0 {
				s.Failing = append(s.Failing, Failing{Offset: m.offset, Attempts: attempts, First: first})
			}
			continue
		}
		if growing {
			s.Finished[len(s.Finished)-1].To = m.offset
		} else if growing = len(s.Finished) < maxRuns; growing {
			s.Finished = append(s.Finished, Run{From: m.offset, To: m.offset})
		}
	}
	f.appendRestored(&s, growing)
	return s
}

// appendRestored adds what was restored and has not come yet. Its first run is the rest of the one that grew, where no
// offset lies between.
func (f *Frontier) appendRestored(s *State, growing bool) {
	runs := f.restored.finished
	if growing && len(runs) > 0 && runs[0].From == f.last+1 {
		s.Finished[len(s.Finished)-1].To = runs[0].To
		runs = runs[1:]
	}
	s.Finished = append(s.Finished, runs...)
	s.Failing = append(s.Failing, f.restored.failing...)
}
