package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The bounds of data. What lies beyond is refused before its schema is looked at.
const (
	// MaxSize is how many bytes data may have.
	MaxSize = 1 << 20
	// MaxDepth is how deep objects and arrays may be nested.
	MaxDepth = 64
	// maxNumber and maxExponent bound numbers, since exact arithmetic on 1e999999999 would eat the memory.
	maxNumber   = 400
	maxExponent = 400
)

// parse reads data, one JSON value, in the form that the schema library takes. Errors tell where, never what.
func parse(data []byte) (any, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("has %d bytes, more than %d", len(data), MaxSize)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("is empty")
	}
	p := parser{jsontext.NewDecoder(bytes.NewBuffer(data))}
	value, err := p.value()
	if err != nil {
		return nil, p.explain(err)
	}
	end := p.InputOffset()
	if _, err := p.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("goes on after the JSON value, which ends at byte %d", end)
	}
	return value, nil
}

// parser turns the tokens of a decoder, which refuses invalid UTF-8 and names that stand twice, into values.
type parser struct{ *jsontext.Decoder }

var (
	errDepth  = fmt.Errorf("is nested more than %d deep", MaxDepth)
	errNumber = fmt.Errorf("has a number of more than %d characters, or with an exponent beyond %d", maxNumber, maxExponent)
)

func (p parser) explain(err error) error {
	at := p.InputOffset()
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = syntax.ByteOffset
	}
	switch {
	case errors.Is(err, errDepth), errors.Is(err, errNumber):
		return fmt.Errorf("%w, at byte %d", err, at)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("has a name twice in one object, at byte %d", at)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("is not JSON: it ends too early, after %d bytes", at)
	}
	return fmt.Errorf("is not JSON, at byte %d", at)
}

func (p parser) value() (any, error) {
	token, err := p.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case jsontext.KindBeginObject:
		return p.object()
	case jsontext.KindBeginArray:
		return p.array()
	case jsontext.KindString:
		return token.String(), nil
	case jsontext.KindNumber:
		return number(token.String())
	case jsontext.KindTrue, jsontext.KindFalse:
		return token.Bool(), nil
	}
	return nil, nil // null: ReadToken returns no other kind where a value stands
}

func (p parser) object() (any, error) {
	if p.StackDepth() > MaxDepth {
		return nil, errDepth
	}
	members := map[string]any{}
	for p.PeekKind() != jsontext.KindEndObject {
		name, err := p.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if members[key], err = p.value(); err != nil {
			return nil, err
		}
	}
	_, err := p.ReadToken()
	return members, err
}

func (p parser) array() (any, error) {
	if p.StackDepth() > MaxDepth {
		return nil, errDepth
	}
	items := []any{}
	for p.PeekKind() != jsontext.KindEndArray {
		item, err := p.value()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := p.ReadToken()
	return items, err
}

func number(text string) (any, error) {
	if len(text) > maxNumber {
		return nil, errNumber
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(text[i+1:])
		if err != nil || exponent < -maxExponent || exponent > maxExponent {
			return nil, errNumber
		}
	}
	return json.Number(text), nil
}
