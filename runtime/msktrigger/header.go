package msktrigger

import (
	"bytes"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// headers reads the headers of a record.
func (d *decoder) headers() ([]kafkabinding.Header, error) {
	if d.null() {
		return nil, nil
	}
	d.fields = d.fields[:0]
	if err := d.array(func() error { return d.object(d.header) }); err != nil {
		return nil, err
	}
	return d.memory.headers(d.fields), nil
}

// header reads one header into d.fields.
func (d *decoder) header(name []byte) error {
	h := kafkabinding.Header{Key: d.memory.name(len(d.fields), name)}
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
	if !d.byte('[') {
		return nil, d.unless(errBytes)
	}
	// Nothing that a list of numbers holds can hide its end.
	n := bytes.IndexByte(d.text[d.at:], ']')
	if n < 0 {
		return nil, errEnd
	}
	list := d.text[d.at : d.at+n]
	d.at += n + 1
	room := d.memory.take(n/2 + 1)
	used, ok := readBytes(room, list)
	d.memory.giveBack(len(room) - used)
	if !ok {
		return nil, errBytes
	}
	return room[:used:used], nil
}

// readBytes reads numbers that are separated by commas into room, which has a byte more than every second character needs, and
// returns how many there are.
func readBytes(room, list []byte) (n int, ok bool) {
	s := scanner{text: list}
	if s.peek(); s.at == len(list) {
		return 0, true
	}
	for {
		if room[n], ok = s.numberOfByte(); !ok {
			return n, false
		}
		n++
		if s.peek(); s.at == len(list) {
			return n, true
		}
		if !s.byte(',') {
			return n, false
		}
		s.peek()
	}
}

// numberOfByte passes over a number that stands for a byte, signed or unsigned.
func (s *scanner) numberOfByte() (byte, bool) {
	negative := s.byte('-')
	start, n := s.at, 0
	for ; s.at < len(s.text) && digit(s.text[s.at]) && n <= 255; s.at++ {
		n = n*10 + int(s.text[s.at]-'0')
	}
	switch {
	case s.at == start, s.at > start+1 && s.text[start] == '0', n > 255, negative && n > 128:
		return 0, false
	case negative:
		n = -n
	}
	return byte(n), true
}
