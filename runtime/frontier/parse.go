package frontier

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// Parse reads what String returned. Anything else is an error: metadata that is empty, another program's, damaged, or of a
// later form than this program knows. Then nothing is known beside the offset of the commit, and the records from there on
// are to be handled. It allocates no more than in proportion to MaxMetadata.
func Parse(metadata string) (State, error) {
	body, err := unseal(metadata)
	if err != nil {
		return State{}, fmt.Errorf("commit metadata of %d bytes: %w", len(metadata), err)
	}
	r := reader{rest: body}
	s := r.state()
	if r.err != nil {
		return State{}, fmt.Errorf("commit metadata of %d bytes: malformed: %w", len(metadata), r.err)
	}
	return s, nil
}

// unseal returns the binary form, without its checksum, which is right.
func unseal(metadata string) ([]byte, error) {
	text, ours := strings.CutPrefix(metadata, tag)
	switch {
	case !ours && isForm(metadata):
		return nil, fmt.Errorf("written in another form than %q, by a later version of millrace", tag)
	case !ours:
		return nil, errors.New("not written by millrace")
	case len(metadata) > MaxMetadata:
		return nil, fmt.Errorf("damaged: longer than %d bytes", MaxMetadata)
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	// The decoder passes over line ends, which make the text longer than its content.
	if base64.RawURLEncoding.EncodedLen(len(sealed)) != len(text) || len(sealed) < crc32.Size {
		return nil, errors.New("damaged: cut off, or with line ends in it")
	}
	body, sum := sealed[:len(sealed)-crc32.Size], sealed[len(sealed)-crc32.Size:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return nil, errors.New("damaged: its checksum is wrong")
	}
	return body, nil
}

// isForm tells whether metadata starts like that of a version of millrace: "m", a number, a full stop.
func isForm(metadata string) bool {
	form, _, _ := strings.Cut(metadata, ".")
	number, ours := strings.CutPrefix(form, "m")
	return ours && number != "" && len(form) < len(metadata) && strings.Trim(number, "0123456789") == ""
}

// reader takes the binary form apart. After a mistake it has nothing left to read, and returns zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) state() State {
	s := State{Next: r.offset(0)}
	flags := r.byte()
	if flags&^openFlag != 0 {
		r.fail("unknown flags")
	}
	s.Open = flags&openFlag != 0
	s.Serial = r.uvarint()
	s.Reserved = s.Next + r.varint()
	s.Suspects = r.suspects(s.Next)
	s.Failing = r.failing(s.Next)
	s.Finished = r.runs(s.Next)
	if overlap(s.Finished, s.Failing) {
		r.fail("a record is finished and failing")
	}
	return s
}

func (r *reader) suspects(next int64) []int64 {
	var suspects []int64
	least := next + 1
	for range r.byte() {
		least = r.offset(least)
		suspects = append(suspects, least)
	}
	return suspects
}

func (r *reader) failing(next int64) []Failing {
	var failing []Failing
	least, known := next, int64(0)
	for range r.uvarint() {
		f := Failing{Offset: r.offset(least), Attempts: int(r.byte())}
		if f.Attempts == 0 { // also where nothing is left to read, however many should follow
			r.fail("a failing record without attempts")
			return nil
		}
		f.First, known = r.first(known)
		failing = append(failing, f)
		least = f.Offset + 1
	}
	return failing
}

// first reads the time of a first failure, and returns the last known one for the next.
func (r *reader) first(known int64) (time.Time, int64) {
	since := r.varint()
	if since == 0 {
		return time.Time{}, known
	}
	if since > 0 {
		since--
	}
	if known+since <= 0 || known+since > secondsMax {
		r.fail("a time out of range")
		return time.Time{}, 0
	}
	return instant(known + since), known + since
}

func (r *reader) runs(next int64) []Run {
	var runs []Run
	least := next
	for len(r.rest) > 0 {
		from := r.offset(least)
		to := r.offset(from)
		runs = append(runs, Run{From: from, To: to})
		least = to + 2
	}
	return runs
}

// overlap tells whether one of failing lies in one of runs.
func overlap(runs []Run, failing []Failing) bool {
	for _, f := range failing {
		for len(runs) > 0 && runs[0].To < f.Offset {
			runs = runs[1:]
		}
		if len(runs) > 0 && runs[0].From <= f.Offset {
			return true
		}
	}
	return false
}

// offset reads how far an offset lies above least, and returns the offset.
func (r *reader) offset(least int64) int64 {
	distance := r.uvarint()
	if distance > offsetMax || least > offsetMax-int64(distance) {
		r.fail("an offset out of range")
		return 0
	}
	return least + int64(distance)
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail("a number is cut off or too large")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail("a number is cut off or too large")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail("it ends too early")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// fail keeps the first mistake: the others follow from it.
func (r *reader) fail(mistake string) {
	if r.err == nil {
		r.err = errors.New(mistake)
	}
	r.rest = nil
}
