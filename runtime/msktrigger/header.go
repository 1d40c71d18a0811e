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

	// text is the object that holds the header and nothing else, empty where there is none.
	text []byte
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
	if err := d.object(d.header); err != nil {
		return err
	}
	if len(d.fields) == i+1 {
		*before = field{d.fields[i], d.text[start:d.at]}
	}
	return nil
}

// header reads one header into d.fields.
func (d *decoder) header(name []byte) error {
	var h kafkabinding.Header
	if i := len(d.fields); i < len(d.before) && string(d.before[i].Key) == string(name) {
		h.Key = d.before[i].Key
	}
	if h.Key == nil {
		h.Key = bytes.Clone(name)
	}
	var err error
	if h.Value, err = d.bytes(); err != nil {
		return err
	}
	d.fields = append(d.fields, h)
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
// Lists of bytes are most of an event. Eight characters hold two numbers with their commas, whatever their lengths, and no branch
// depends on how many digits a number has: that is as good as random.
func (s *scanner) pairs(list []byte) []byte {
	from, at := s.text, s.at // in registers: the next pair waits for at
	for len(from)-at >= 8 {
		text := binary.LittleEndian.Uint64(from[at:])
		digits := text ^ '0'*ones
		// The highest bit of each byte that is no digit. A byte beyond ASCII spoils only those after it.
		others := (digits | (digits + (0x80-10)*ones)) & (0x80 * ones)
		first := bits.TrailingZeros64(others) - 7
		second := bits.TrailingZeros64(others&(others-1)) - 7
		one, two := spelled(digits, first), spelled(digits>>((first+8)&63), second-first-8)
		behindOne, behindTwo := text>>(first&63)&0xff, text>>(second&63)&0xff
		if behindOne != ',' || behindTwo != ',' || one|two > 255 {
			break
		}
		list = append(list, byte(one), byte(two)) //nolint:gosec // neither is above 255
		at += second>>3 + 1
	}
	s.at = at
	return list
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
