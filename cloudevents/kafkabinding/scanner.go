package kafkabinding

import (
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 10_000

// scanner passes over JSON text (RFC 8259). It walks over structure, plain strings and whole numbers itself, and asks the
// tokenizer about the rest: escapes, characters beyond ASCII, other numbers. Names may stand twice in an object.
//
// Its methods return false for what is not JSON, and leave at near the fault.
type scanner struct {
	text    []byte
	at      int
	escaped bool // the last string was not plain
}

// token is a JSON value.
type token struct {
	text    []byte
	escaped bool // a string that is not plain
}

// unquoted returns the text of a string, a part of the token where nothing is escaped. It is never nil.
func (t token) unquoted() []byte {
	inner := t.text[1 : len(t.text)-1 : len(t.text)-1]
	if !t.escaped {
		return inner
	}
	text, _ := jsontext.AppendUnquote(make([]byte, 0, len(inner)), t.text) // cannot fail: the scanner has passed over it
	return text
}

// isJSON tells whether text is one JSON value, nested no deeper than depth.
func isJSON(text []byte, depth int) bool {
	s := scanner{text: text}
	s.space()
	if !s.value(depth) {
		return false
	}
	s.space()
	return s.at == len(text)
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// is passes over c if it is next.
func (s *scanner) is(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) value(depth int) bool {
	if s.at == len(s.text) {
		return false
	}
	switch c := s.text[s.at]; {
	case c == '"':
		return s.quoted()
	case c == '{' && depth > 0:
		return s.object(depth)
	case c == '[' && depth > 0:
		return s.array(depth)
	default:
		return s.scalar()
	}
}

func (s *scanner) object(depth int) bool {
	s.at++
	s.space()
	more := !s.is('}')
	for more {
		_, _, ok := s.member(depth - 1)
		if !ok {
			return false
		}
		if more, ok = s.next('}'); !ok {
			return false
		}
	}
	return true
}

// member passes over a member of an object.
func (s *scanner) member(depth int) (name, value token, ok bool) {
	start := s.at
	if !s.quoted() {
		return token{}, token{}, false
	}
	name = token{text: s.text[start:s.at], escaped: s.escaped}
	s.space()
	if !s.is(':') {
		return token{}, token{}, false
	}
	s.space()
	start = s.at
	if !s.value(depth) {
		return token{}, token{}, false
	}
	return name, token{text: s.text[start:s.at:s.at], escaped: s.escaped}, true
}

func (s *scanner) array(depth int) bool {
	s.at++
	s.space()
	more := !s.is(']')
	for more {
		ok := s.value(depth - 1)
		if !ok {
			return false
		}
		if more, ok = s.next(']'); !ok {
			return false
		}
	}
	return true
}

// next passes over what stands behind a member or an element: a comma, then there is more, or the end.
func (s *scanner) next(end byte) (more, ok bool) {
	s.space()
	if !s.is(',') {
		return false, s.is(end)
	}
	s.space()
	return true, true
}

func (s *scanner) quoted() bool {
	start := s.at
	if !s.is('"') {
		return false
	}
	s.at += plain(s.text[s.at:])
	if s.escaped = !s.is('"'); !s.escaped {
		return true
	}
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return jsontext.Value(s.text[start:s.at]).IsValid()
		}
	}
	return false
}

// scalar passes over a number, true, false or null.
func (s *scanner) scalar() bool {
	start := s.at
	for s.at < len(s.text) && !ends(s.text[s.at]) {
		s.at++
	}
	text := s.text[start:s.at]
	return isWhole(text) || jsontext.Value(text).IsValid()
}

// ends tells whether c ends a scalar.
func ends(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// isWhole tells whether text is a number without sign, fraction and exponent.
func isWhole(text []byte) bool {
	if len(text) == 0 || text[0] == '0' && len(text) > 1 {
		return false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// plain returns how many bytes at the start of text are printable ASCII, and neither a quote nor a backslash. It looks at
// eight bytes at a time.
func plain[T string | []byte](text T) int {
	n := 0
	for ; len(text)-n >= 8; n += 8 {
		x := load(text[n : n+8])
		quote, backslash := x^'"'*ones, x^'\\'*ones // 0 in the byte that is looked for
		found := (notPrintable(x) | (quote-ones)&^quote | (backslash-ones)&^backslash) & high
		if found != 0 {
			return n + bits.TrailingZeros64(found)/8 // the lowest is certain, see notPrintable
		}
	}
	for ; n < len(text); n++ {
		if c := text[n]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			break
		}
	}
	return n
}
