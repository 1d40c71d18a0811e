package frontier

import (
	"sync/atomic"
	"time"
)

// Mark is the place of one started record. Its methods may be called from any goroutine.
type Mark struct {
	offset int64
	// packed is all that changes, in one word: a step is atomic, and the mark stays small, for many thousands are in flight.
	// From bit 0 on: finished (1 bit), suspected (8), attempts (8), first failure in Unix seconds (47; 0 = not known).
	packed atomic.Uint64
}

const (
	finishedBit    = 1
	suspectedShift = 1
	attemptsShift  = 9
	firstShift     = 17

	// counterMax is the highest count that a mark and the metadata hold; more is kept as this.
	counterMax = 255
	// secondsMax is the latest first failure that a mark holds, in Unix seconds.
	secondsMax = 1<<(64-firstShift) - 1
	// failureBits are those that Fail sets.
	failureBits = counterMax<<attemptsShift | secondsMax<<firstShift
)

// Offset returns the record's offset.
func (m *Mark) Offset() int64 { return m.offset }

// Finish says that nothing remains to be done for the record. It may be called more than once.
func (m *Mark) Finish() { m.packed.Or(finishedBit) }

// Finished tells whether nothing remains to be done for the record: Finish was called, or a former owner of the partition
// finished it.
func (m *Mark) Finished() bool { return m.packed.Load()&finishedBit != 0 }

// Fail notes that attempts of the record failed so far, the first of them at first. It replaces what was known. More than
// 255 attempts count as 255; first is kept to the second, and a time before 1970 as not known.
func (m *Mark) Fail(attempts int, first time.Time) {
	failure := packFailure(attempts, first)
	for {
		known := m.packed.Load()
		if m.packed.CompareAndSwap(known, known&^failureBits|failure) {
			return
		}
	}
}

// Attempts returns how many attempts of the record failed and when the first of them did (the zero time where that is not
// known): as of the last Fail or, before that, as a former owner of the partition left it.
func (m *Mark) Attempts() (n int, first time.Time) { return unpackFailure(m.packed.Load()) }

// Suspected returns how many former owners of the partition may have attempted the record without a trace, 0 to 255: those
// of State.Suspects that lie above its offset.
func (m *Mark) Suspected() int { return int(m.packed.Load() >> suspectedShift & counterMax) }

// count brings n into the range that a mark holds.
func count(n int) uint8 { return uint8(min(max(n, 0), counterMax)) }

// seconds returns t as Unix seconds in the range that a mark holds, 0 for the zero time.
func seconds(t time.Time) int64 { return min(max(t.Unix(), 0), secondsMax) }

// instant is the inverse of seconds.
func instant(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func packFailure(attempts int, first time.Time) uint64 {
	return uint64(count(attempts))<<attemptsShift | uint64(seconds(first)&secondsMax)<<firstShift
}

func unpackFailure(packed uint64) (attempts int, first time.Time) {
	return int(packed >> attemptsShift & counterMax), instant(int64(packed >> firstShift & secondsMax))
}
