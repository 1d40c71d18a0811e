package msktrigger

import (
	"bytes"
	"encoding/base64"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// How much memory is asked for at a time: bytes, and headers.
const (
	chunkBytes   = 16 << 10
	chunkHeaders = 256
)

// memory is what the records of a batch are made of. It is asked for in chunks, for records come and go together.
type memory struct {
	chunk []byte
	used  int
	// room is what is left of a chunk of headers.
	room []kafkabinding.Header
	// names are the names of the headers of the record before: the next one mostly has the same.
	names [][]byte
}

// take returns n bytes, which are never nil.
func (m *memory) take(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	if n > len(m.chunk)-m.used {
		m.chunk, m.used = make([]byte, max(n, chunkBytes)), 0
	}
	m.used += n
	return m.chunk[m.used-n : m.used : m.used]
}

// giveBack takes back the last n bytes of what was taken last.
func (m *memory) giveBack(n int) { m.used -= n }

// base64 decodes standard base64 with padding. What stands in the bits that padding leaves over is passed over: samples in
// Amazon's documentation have something there.
func (m *memory) base64(text []byte) (decoded []byte, ok bool) {
	if len(text)%4 != 0 {
		return nil, false
	}
	size := len(text)/4*3 - (len(text) - len(bytes.TrimRight(text, "=")))
	room := m.take(base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(room, text)
	m.giveBack(len(room) - n)
	// The decoder passes over line breaks, which no string of JSON holds.
	return room[:n:n], err == nil && n == size
}

// name returns the name of the i-th header of a record.
func (m *memory) name(i int, name []byte) []byte {
	if i == len(m.names) {
		m.names = append(m.names, bytes.Clone(name))
	} else if string(m.names[i]) != string(name) {
		m.names[i] = bytes.Clone(name)
	}
	return m.names[i]
}

// headers returns a copy of list.
func (m *memory) headers(list []kafkabinding.Header) []kafkabinding.Header {
	if len(list) == 0 {
		return nil
	}
	if len(list) > len(m.room) {
		m.room = make([]kafkabinding.Header, max(len(list), chunkHeaders))
	}
	n := copy(m.room, list)
	kept := m.room[:n:n]
	m.room = m.room[n:]
	return kept
}
