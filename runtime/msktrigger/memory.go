package msktrigger

import (
	"bytes"
	"encoding/base64"
	"slices"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// memory is what the records of a batch are made of. They come and go together, so that it is asked for in large pieces.
type memory struct {
	// values are what handlers get to see, texts are keys and what headers hold.
	values, texts slab[byte]
	headers       slab[kafkabinding.Header]
	records       slab[Record]
}

// reuse makes what only the runtime saw free again, when all records are done with. Values stay with whom they were given to: a
// handler may keep its event's data.
func (m *memory) reuse() {
	m.values = slab[byte]{}
	m.texts.reuse()
	m.headers.reuse()
	m.records.reuse()
}

// How large the pieces are. Lambda's batches have 100 records, unless it is told otherwise.
const (
	pieceBytes   = 16 << 10
	pieceHeaders = 256
	pieceRecords = 100
)

// slab hands out slices that are cut from larger pieces.
type slab[T any] struct {
	// free is what is left of a piece, as the room of an empty slice.
	free []T
	// pieces are those that there are, the first used of them have been begun.
	pieces [][]T
	used   int
}

// room returns an empty slice that has room for n. It is not nil.
func (s *slab[T]) room(n, piece int) []T {
	if n > cap(s.free) || s.free == nil {
		s.free = s.piece(max(n, piece))
	}
	return s.free
}

// zeros returns n zero values.
func (s *slab[T]) zeros(n, piece int) []T {
	list := s.room(n, piece)[:n]
	clear(list)
	return s.keep(list)
}

// piece returns the next piece, which has room for n.
func (s *slab[T]) piece(n int) []T {
	for ; s.used < len(s.pieces); s.used++ {
		if p := s.pieces[s.used]; cap(p) >= n {
			s.used++
			return p
		}
	}
	p := make([]T, 0, n)
	s.pieces = append(s.pieces, p)
	s.used++
	return p
}

// keep takes what was appended to the slice that room returned last, even where it has outgrown that.
func (s *slab[T]) keep(list []T) []T {
	s.free = list[len(list):]
	return slices.Clip(list)
}

// reuse makes all that was handed out free again. Nobody may hold any of it.
func (s *slab[T]) reuse() { s.free, s.used = nil, 0 }

// decodeBase64 decodes standard base64 with padding. What stands in the bits that padding leaves over is passed over: samples in
// Amazon's documentation have something there.
func decodeBase64(memory *slab[byte], text []byte) (decoded []byte, ok bool) {
	if len(text)%4 != 0 {
		return nil, false
	}
	most := len(text) / 4 * 3
	room := memory.room(most, pieceBytes)[:most]
	n, err := base64.StdEncoding.Decode(room, text)
	// The decoder passes over line breaks, which no string of JSON holds.
	if padding := len(text) - len(bytes.TrimRight(text, "=")); err != nil || n != most-padding {
		return nil, false
	}
	return memory.keep(room[:n]), true
}
