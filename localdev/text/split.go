package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxInput is how many bytes of events are read at once.
const MaxInput = 64 << 20

// MaxEvent is how many bytes the text of one event may have.
const MaxEvent = 1 << 20

// InputError says where in an input something is wrong.
type InputError struct {
	// Line is where the item begins, from 1.
	Line int
	// Item counts the events of the input, from 1.
	Item int
	Err  error
}

func (e *InputError) Error() string {
	return fmt.Sprintf("line %d (item %d): %v", e.Line, e.Item, e.Err)
}

// Unwrap returns what is wrong.
func (e *InputError) Unwrap() error { return e.Err }

// errCutOff says that nothing follows.
var errCutOff = errors.New("is not JSON: the input ends within it")

// item is one JSON value of an input and where it begins.
type item struct {
	line, number int
	value        []byte
}

func (i item) fail(err error) error { return &InputError{Line: i.line, Item: i.number, Err: err} }

// maxRecoveries bounds how often the reading goes on after what is not JSON: each time some of the input is read again.
const maxRecoveries = 100

// lenient leaves to the decoders of events what they judge themselves, so that it spoils one item and not those after it.
var lenient = jsontext.AllowDuplicateNames(true)

// splitter finds the items of an input.
type splitter struct {
	input   []byte
	json    *jsontext.Decoder
	base    int // where in input the decoder began
	counted int // how far lines are counted
	line    int
	number  int
	tries   int
}

// split yields the JSON values of input: single ones, with or without space between them, and the elements of arrays. An
// item that is not JSON yields an error; the items that begin on later lines are found all the same, unless the bad one
// stands in an array.
func split(input []byte) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		s := splitter{input: input, line: 1}
		s.begin(len(input) - len(bytes.TrimPrefix(input, []byte("\ufeff"))))
		for {
			it, err := s.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil:
				if !yield(it, nil) {
					return
				}
				continue
			}
			found, err := s.recover(err)
			if !yield(it, it.fail(err)) || !found {
				return
			}
		}
	}
}

func (s *splitter) begin(at int) {
	s.base = at
	s.json = jsontext.NewDecoder(bytes.NewBuffer(s.input[at:]), lenient, jsontext.AllowInvalidUTF8(true))
}

func (s *splitter) next() (item, error) {
	for {
		switch s.json.PeekKind() {
		case '[':
			if s.json.StackDepth() > 0 {
				return s.value()
			}
		case ']':
		default:
			return s.value()
		}
		if _, err := s.json.ReadToken(); err != nil {
			return s.fail(err)
		}
	}
}

func (s *splitter) value() (item, error) {
	value, err := s.json.ReadValue()
	if err != nil {
		return s.fail(err)
	}
	end := s.base + int(s.json.InputOffset())
	it := s.locate(end - len(value))
	it.value = s.input[end-len(value) : end]
	return it, nil
}

// locate numbers the item that begins at an offset.
func (s *splitter) locate(start int) item {
	s.line += bytes.Count(s.input[s.counted:start], []byte("\n"))
	s.counted = start
	s.number++
	return item{line: s.line, number: s.number}
}

func (s *splitter) fail(err error) (item, error) {
	if errors.Is(err, io.EOF) {
		return item{}, io.EOF
	}
	start := s.base + int(s.json.InputOffset())
	start += len(s.input[start:]) - len(bytes.TrimLeft(s.input[start:], " \t\r\n,"))
	it := s.locate(start)
	return it, s.explain(err)
}

func (s *splitter) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutOff
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) || syntax.Err == nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	at := max(s.counted, min(s.base+int(syntax.ByteOffset), len(s.input)))
	line := s.line + bytes.Count(s.input[s.counted:at], []byte("\n"))
	column := at - bytes.LastIndexByte(s.input[:at], '\n')
	return fmt.Errorf("is not JSON: %w at line %d, column %d", syntax.Err, line, column)
}

// recover goes on after err at the next line that begins an object. Where it does not, the error says so: in an array,
// whose end cannot be told, and after too many tries.
func (s *splitter) recover(err error) (found bool, _ error) {
	next := bytes.Index(s.input[s.counted:], []byte("\n{"))
	switch {
	case errors.Is(err, errCutOff):
		return false, err
	case s.inArray():
		return false, fmt.Errorf("%w; the rest of the array was not read", err)
	case next < 0:
		return false, err
	case s.tries == maxRecoveries:
		return false, fmt.Errorf("%w; that was too much of it, the rest was not read", err)
	}
	s.tries++
	s.begin(s.counted + next + 1)
	return true, err
}

// inArray tells whether the decoder stands in an array at the top.
func (s *splitter) inArray() bool {
	if s.json.StackDepth() == 0 {
		return false
	}
	kind, _ := s.json.StackIndex(1)
	return kind == '['
}
