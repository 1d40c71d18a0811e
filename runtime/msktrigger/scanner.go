package msktrigger

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep the values that nobody reads may be nested.
const maxDepth = 64

// What is wrong with JSON text.
var (
	errEnd     = errors.New("is cut short")
	errSyntax  = errors.New("is not JSON")
	errObject  = errors.New("must be an object")
	errList    = errors.New("must be a list")
	errString  = errors.New("must be a string")
	errControl = errors.New("is not JSON: a string holds a control character")
	errEscape  = errors.New("is not JSON: a string holds an escape that there is not")
	errDepth   = errors.New("is nested too deep")
)

// scanner walks over JSON text (RFC 8259). Its methods leave at where they found the fault.
type scanner struct {
	text []byte
	at   int
}

// peek passes over white space and returns the byte that follows, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) && s.text[s.at] > ' ' {
		return s.text[s.at]
	}
	return s.space()
}

func (s *scanner) space() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// unless returns err for what comes next and should not, or says that nothing comes next.
func (s *scanner) unless(err error) error {
	if s.at == len(s.text) {
		return errEnd
	}
	return err
}

// object walks over an object. member is called after each name and must pass over the value. The name is valid until
// member returns.
func (s *scanner) object(member func(name []byte) error) error {
	if !s.byte('{') {
		return s.unless(errObject)
	}
	s.peek()
	if s.byte('}') {
		return nil
	}
	for {
		name, err := s.string()
		if err != nil {
			return err
		}
		s.peek()
		if !s.byte(':') {
			return s.unless(errSyntax)
		}
		s.peek()
		if err := member(name); err != nil {
			return err
		}
		if more, err := s.next('}'); !more || err != nil {
			return err
		}
	}
}

// array walks over an array. element is called for each of its values and must pass over it.
func (s *scanner) array(element func() error) error {
	if !s.byte('[') {
		return s.unless(errList)
	}
	s.peek()
	if s.byte(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if more, err := s.next(']'); !more || err != nil {
			return err
		}
	}
}

// next passes over a comma and the white space after it, or over the end of what it separates.
func (s *scanner) next(end byte) (more bool, err error) {
	switch s.peek() {
	case ',':
		s.at++
		s.peek()
		return true, nil
	case end:
		s.at++
		return false, nil
	default:
		return false, s.unless(errSyntax)
	}
}

// string passes over a string and returns what it says: a part of the text, or a copy where something is escaped.
func (s *scanner) string() ([]byte, error) {
	start := s.at
	plain, err := s.quoted()
	if err != nil {
		return nil, err
	}
	if plain {
		return s.text[start+1 : s.at-1 : s.at-1], nil
	}
	// It cannot fail, but for text that is no UTF-8, which it replaces.
	said, _ := jsontext.AppendUnquote(make([]byte, 0, s.at-start), s.text[start:s.at])
	return said, nil
}

// quoted passes over a string. It is plain when nothing in it is escaped.
func (s *scanner) quoted() (plain bool, err error) {
	if !s.byte('"') {
		return false, s.unless(errString)
	}
	plain = true
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return plain, nil
		case c < ' ':
			return false, errControl
		case c == '\\':
			plain = false
			s.at++
			if err := s.escape(); err != nil {
				return false, err
			}
		}
	}
	return false, errEnd
}

// escape passes over all but the last character of an escape, its backslash is behind.
func (s *scanner) escape() error {
	if s.at == len(s.text) {
		return errEnd
	}
	switch s.text[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return errEscape
	}
	for range 4 {
		if s.at++; s.at == len(s.text) {
			return errEnd
		}
		if c := s.text[s.at]; !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return errEscape
		}
	}
	return nil
}

// null passes over null if it is next.
func (s *scanner) null() bool {
	return s.at < len(s.text) && s.text[s.at] == 'n' && s.literal("null") == nil
}

func (s *scanner) literal(word string) error {
	end := s.at + len(word)
	if end > len(s.text) || string(s.text[s.at:end]) != word {
		return errSyntax
	}
	s.at = end
	return nil
}

// skip passes over a value of any kind, nested no deeper than depth.
func (s *scanner) skip(depth int) error {
	if s.at == len(s.text) {
		return errEnd
	}
	switch c := s.text[s.at]; c {
	case '{', '[':
		if depth == 0 {
			return errDepth
		}
		if c == '{' {
			return s.object(func([]byte) error { return s.skip(depth - 1) })
		}
		return s.array(func() error { return s.skip(depth - 1) })
	case '"':
		_, err := s.quoted()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

// number passes over a number.
func (s *scanner) number() error {
	s.byte('-')
	if !s.byte('0') && !s.digits() {
		return s.unless(errSyntax)
	}
	if s.byte('.') && !s.digits() {
		return s.unless(errSyntax)
	}
	if s.byte('e') || s.byte('E') {
		if !s.byte('+') {
			s.byte('-')
		}
		if !s.digits() {
			return s.unless(errSyntax)
		}
	}
	return nil
}

// byte passes over c if it is next.
func (s *scanner) byte(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// digits passes over digits. It is false where there is none.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && digit(s.text[s.at]) {
		s.at++
	}
	return s.at > start
}

// continues tells whether what was taken for a whole number has a fraction or an exponent.
func (s *scanner) continues() bool {
	return s.at < len(s.text) && (s.text[s.at] == '.' || s.text[s.at]|0x20 == 'e')
}

func digit(c byte) bool { return c-'0' <= 9 }
