package msktrigger

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// field is a header and how the event has it.
type field struct {
	kafkabinding.Header

	// text is the object that holds the header and nothing else, empty where there is none. name is what it begins with, up to the
	// value.
	text, name []byte
}

// headers reads the headers of a record.
func (d *decoder) headers() ([]kafkabinding.Header, error) {
	if d.null() {
		return nil, nil
	}
	d.fields = d.memory.headers.room(pieceHeaders/16, pieceHeaders)
	if err := d.array(d.field); err != nil || len(d.fields) == 0 {
		return nil, err
	}
	return d.memory.headers.keep(d.fields), nil
}

// field reads an object among the headers. Most are as in the record before, to the letter, and most others have its name: what
// was made of that then is taken again.
func (d *decoder) field() error {
	i := len(d.fields)
	for i >= len(d.before) {
		d.before = append(d.before, field{})
	}
	before := &d.before[i]
	if len(before.text) > 0 && bytes.HasPrefix(d.text[d.at:], before.text) {
		d.at += len(before.text)
		d.fields = append(d.fields, before.Header)
		return nil
	}
	start := d.at
	if d.renewed(before) {
		before.Header, before.text = d.fields[i], d.text[start:d.at]
		return nil
	}
	d.at, d.fields = start, d.fields[:i]
	if err := d.object(d.header); err != nil {
		return err
	}
	if len(d.fields) == i+1 {
		*before = field{d.fields[i], d.text[start:d.at], d.text[start:d.named]}
	}
	return nil
}

// renewed reads an object that holds a header with the name of the one before and nothing else. It is false where the object holds
// something else, or something is wrong with it.
func (d *decoder) renewed(before *field) bool {
	if len(before.text) == 0 || !bytes.HasPrefix(d.text[d.at:], before.name) {
		return false
	}
	d.at += len(before.name)
	d.peek()
	value, err := d.bytes()
	if err != nil {
		return false
	}
	more, err := d.next('}')
	d.fields = append(d.fields, kafkabinding.Header{Key: before.Key, Value: value})
	return err == nil && !more
}

// header reads one header into d.fields.
func (d *decoder) header(name []byte) error {
	d.named = d.at
	value, err := d.bytes()
	if err != nil {
		return err
	}
	d.fields = append(d.fields, kafkabinding.Header{Key: bytes.Clone(name), Value: value})
	return nil
}

// bytes reads a list of bytes. Null is nil.
func (d *decoder) bytes() ([]byte, error) {
	if d.null() {
		return nil, nil
	}
	list, err := d.numbers(d.memory.texts.room(pieceBytes/64, pieceBytes))
	if err != nil {
		return nil, err
	}
	return d.memory.texts.keep(list), nil
}

// numbers reads a list of numbers that stand for bytes, and appends these to list.
func (s *scanner) numbers(list []byte) ([]byte, error) {
	if !s.byte('[') {
		return nil, s.unless(errBytes)
	}
	s.peek()
	if s.byte(']') {
		return list, nil
	}
	for more := true; more; {
		list = s.pairs(list)
		s.peek()
		b, err := s.signed()
		if err != nil {
			return nil, err
		}
		list = append(list, b)
		if more, err = s.next(']'); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// pairs reads numbers two at a time and appends them to list, as long as they stand close together, are written as most are (one
// to three digits, no sign, no zero in front), and are not the last.
//
// Lists of bytes are most of an event, and most bytes of ids, times and numbers have two digits: of these eight characters hold two
// at known places.
func (s *scanner) pairs(list []byte) []byte {
	from, at := s.text, s.at // in registers: the next pair waits for at
	for len(from)-at >= 8 {
		text := binary.LittleEndian.Uint64(from[at:])
		if short := text ^ shortPair; ((short+shortMost)|(short-shortLeast))&shortBits == 0 {
			sums := short*10 + short>>8
			list = append(list, byte(sums), byte(sums>>24)) //nolint:gosec // what is above is the sum of another byte
			at += 6
			continue
		}
		one, two, size := pair(text)
		if size == 0 {
			break
		}
		list = append(list, one, two)
		at += size
	}
	s.at = at
	return list
}

// What two numbers of two digits with their commas are known by, the first character in the lowest byte.
const (
	// shortPair is what their characters are counted from: the digits become their values, a comma becomes 0.
	shortPair = 0x2c3030_2c3030
	// The highest bit of a byte of shortBits is set where shortMost leads above what its value may be, or shortLeast below: a digit is
	// at most 9, a comma 0, and the first digit of each number at least 1. Where a sum overflows, the difference has the bit. A byte
	// beyond its range spoils only those after it.
	shortMost  = 0x7f7676_7f7676
	shortLeast = 0x000001_000001
	shortBits  = 0x808080_808080
)

// pair returns the numbers that text begins with, and how many characters they have with their commas: 0 unless they are as pairs
// wants them. No branch depends on how many digits a number has, for in a text that is as good as random.
func pair(text uint64) (one, two byte, size int) {
	digits := text ^ '0'*ones
	// The highest bit of each byte that is no digit. A byte beyond ASCII spoils only those after it.
	others := (digits | (digits + (0x80-10)*ones)) & (0x80 * ones)
	first := bits.TrailingZeros64(others) - 7
	second := bits.TrailingZeros64(others&(others-1)) - 7
	a, b := spelled(digits, first), spelled(digits>>((first+8)&63), second-first-8)
	behindA, behindB := text>>(first&63)&0xff, text>>(second&63)&0xff
	if behindA != ',' || behindB != ',' || a|b > 255 {
		return 0, 0, 0
	}
	return byte(a), byte(b), second>>3 + 1 //nolint:gosec // neither is above 255
}

// ones has 1 in each byte.
const ones = 0x0101010101010101

// spelled returns the number that the first size bits of digits spell, a byte for each digit; something above 255 unless they
// are 1 to 3 digits of a byte and the first is no zero.
func spelled(digits uint64, size int) uint64 {
	if digits&0xff == 0 || uint(size-8) > 16 {
		return 256
	}
	// The last digit becomes the highest byte.
	digits <<= (64 - size) & 63
	return digits>>56 + digits>>48&0xff*10 + digits>>40&0xff*100
}

// signed passes over a number that stands for a byte, signed or unsigned.
func (s *scanner) signed() (byte, error) {
	negative := s.byte('-')
	start, n := s.at, 0
	for ; s.at < len(s.text) && digit(s.text[s.at]) && n <= 255; s.at++ {
		n = n*10 + int(s.text[s.at]-'0')
	}
	switch {
	case s.at == start, s.at > start+1 && s.text[start] == '0', n > 255, negative && n > 128, s.continues():
		return 0, s.unless(errBytes)
	case negative:
		n = -n
	}
	return byte(n), nil
}
