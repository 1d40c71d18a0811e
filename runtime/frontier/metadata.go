package frontier

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"sort"
)

// The metadata of a commit is text: the tag "m1." and then, in base64 of the URL alphabet without padding, this binary form:
//
//	next       uvarint   State.Next
//	flags      1 byte    bit 0: State.Open; the others are 0
//	serial     uvarint   State.Serial
//	reserved   varint    State.Reserved - next
//	suspects   1 byte    how many follow
//	  offset   uvarint   minus next+1; from the second on, minus the one before
//	failing    uvarint   how many follow
//	  offset   uvarint   minus next; from the second on, minus (the one before)+1
//	  attempts 1 byte    1 to 255
//	  first    varint    0: not known; else its Unix seconds minus those of the last known one (at first minus 0), plus 1
//	                     where that is not negative
//	runs, up to the checksum
//	  from     uvarint   minus next; from the second on, minus (To of the one before)+2
//	  length   uvarint   To - From
//	checksum   4 bytes   CRC-32C of all bytes before it, big-endian
//
// uvarint and varint are those of encoding/binary. Offsets go up to offsetMax. The runs stand last and have no count, for
// they are cut off where the room ends.
const (
	tag = "m1."

	// MaxMetadata is the length of the longest metadata, in bytes: what a Kafka broker takes at its default settings
	// (offset.metadata.max.bytes). It refuses the whole commit when it is longer.
	MaxMetadata = 4096

	// bodyMax is the room for the binary form without its checksum.
	bodyMax = (MaxMetadata-len(tag))*6/8 - crc32.Size
	// headerMin is the size of all that comes before the runs, in the smallest case.
	headerMin = 6
	// maxRuns is how many runs there is room for, each of them at its smallest.
	maxRuns = (bodyMax - headerMin) / 2
	// maxFailing is the same of failing records.
	maxFailing = (bodyMax - headerMin) / 3
	// offsetMax is the highest offset that is read: nothing added to it overflows, and no partition gets there.
	offsetMax = 1 << 62

	openFlag = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// String returns s as metadata of a commit: text of at most MaxMetadata bytes, which Parse reads. What does not fit is left
// out: first the farthest runs of Finished, then the Failing with the fewest attempts, of those the farthest. What is left
// out is handled again, or loses count of its attempts; it is never skipped.
func (s State) String() string {
	var room [bodyMax + crc32.Size]byte
	b := appendHeader(room[:0], &s)
	b = appendFailing(b, s.Next, s.Failing)
	b = appendRuns(b, s.Next, s.Finished)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	var text [MaxMetadata]byte
	return string(base64.RawURLEncoding.AppendEncode(append(text[:0], tag...), b))
}

// appendHeader appends what is never left out. It has room, for only 255 suspects make a difference: the highest, as a
// record is below those or below fewer.
func appendHeader(b []byte, s *State) []byte {
	b = appendDistance(b, s.Next)
	if s.Open {
		b = append(b, openFlag)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, s.Serial)
	b = binary.AppendVarint(b, s.Reserved-s.Next)
	suspects := s.Suspects
	for len(suspects) > 0 && (suspects[0] <= s.Next || len(suspects) > counterMax) {
		suspects = suspects[1:]
	}
	b = append(b, count(len(suspects)))
	before := s.Next + 1
	for _, offset := range suspects {
		b = appendDistance(b, offset-before)
		before = offset
	}
	return b
}

// appendFailing appends as many of failing as fit, those with the most attempts.
func appendFailing(b []byte, next int64, failing []Failing) []byte {
	most := failing
	if len(failing) > maxFailing {
		most = appendMostAttempted(nil, failing, maxFailing)
	}
	if all := appendAllFailing(b, next, most); len(all) <= bodyMax {
		return all
	}
	fewer := make([]Failing, 0, len(most))
	kept := func(dropped int) []byte {
		return appendAllFailing(b, next, appendMostAttempted(fewer, most, len(most)-dropped))
	}
	return kept(sort.Search(len(most), func(dropped int) bool { return len(kept(dropped)) <= bodyMax }))
}

func appendAllFailing(b []byte, next int64, failing []Failing) []byte {
	b = binary.AppendUvarint(b, uint64(len(failing)))
	least, known := next, int64(0)
	for _, f := range failing {
		b = appendDistance(b, f.Offset-least)
		b = append(b, count(f.Attempts))
		b, known = appendFirst(b, seconds(f.First), known)
		least = f.Offset + 1
	}
	return b
}

// appendFirst appends the time of a first failure, and returns the last known one for the next.
func appendFirst(b []byte, first, known int64) ([]byte, int64) {
	switch {
	case first == 0:
		return append(b, 0), known
	case first >= known:
		return binary.AppendVarint(b, first-known+1), first
	default:
		return binary.AppendVarint(b, first-known), first
	}
}

// appendMostAttempted appends to most the n of failing that were attempted most, of equals the first ones, in the order of
// failing, which holds n at least.
func appendMostAttempted(most, failing []Failing, n int) []Failing {
	var with [counterMax + 1]int // by the number of attempts
	for i := range failing {
		with[count(failing[i].Attempts)]++
	}
	fewest := uint8(counterMax)
	for ; with[fewest] < n; fewest-- {
		n -= with[fewest]
	}
	for i := range failing {
		attempts := count(failing[i].Attempts)
		if attempts == fewest {
			n--
		}
		if attempts > fewest || attempts == fewest && n >= 0 {
			most = append(most, failing[i])
		}
	}
	return most
}

// appendRuns appends the first of runs, as many as fit.
func appendRuns(b []byte, next int64, runs []Run) []byte {
	least := next
	for _, r := range runs {
		longer := appendDistance(b, r.From-least)
		longer = appendDistance(longer, r.To-r.From)
		if len(longer) > bodyMax {
			break
		}
		b, least = longer, r.To+2
	}
	return b
}

// appendDistance appends how far an offset lies above the least that it can be. One below, of offsets that do not ascend,
// becomes a distance that Parse refuses.
func appendDistance(b []byte, distance int64) []byte {
	return binary.AppendUvarint(b, uint64(distance)) //nolint:gosec // the overflow is what Parse refuses
}
