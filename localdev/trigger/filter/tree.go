package filter

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of JSON values that are asked for.
const (
	null   jsontext.Kind = 'n'
	text   jsontext.Kind = '"'
	number jsontext.Kind = '0'
	object jsontext.Kind = '{'
	list   jsontext.Kind = '['
)

// tree is a JSON value.
type tree struct {
	kind jsontext.Kind
	// text is a string without its quotes, or a number or literal as it is written.
	text    string
	members []member
	items   []*tree
}

type member struct {
	name  string
	value *tree
}

func (t *tree) isContainer() bool { return t.kind == object || t.kind == list }

// member returns the last member of that name, nil where there is none.
func (t *tree) member(name string) *tree {
	for _, m := range slices.Backward(t.members) {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parse reads the one JSON value of a text. Of objects it keeps the members whose names are given, all if names is nil.
func parse(data []byte, names map[string]bool, options ...jsontext.Options) (*tree, error) {
	r := reader{json: jsontext.NewDecoder(bytes.NewBuffer(data), options...), names: names}
	t, err := r.value()
	if err != nil {
		return nil, err
	}
	if _, err := r.json.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one JSON value")
	}
	return t, nil
}

type reader struct {
	json  *jsontext.Decoder
	names map[string]bool
}

func (r *reader) value() (*tree, error) {
	token, err := r.json.ReadToken()
	if err != nil {
		return nil, err
	}
	t := &tree{kind: token.Kind()}
	switch t.kind {
	case object:
		err = r.object(t)
	case list:
		err = r.list(t)
	default:
		t.text = token.String()
	}
	return t, err
}

// object reads up to the end of an object.
func (r *reader) object(t *tree) error {
	for {
		token, err := r.json.ReadToken()
		if err != nil || token.Kind() == '}' {
			return err
		}
		name := token.String()
		if r.names != nil && !r.names[name] {
			if err := r.json.SkipValue(); err != nil {
				return err
			}
			continue
		}
		value, err := r.value()
		if err != nil {
			return err
		}
		t.members = append(t.members, member{name: name, value: value})
	}
}

// list reads up to the end of a list.
func (r *reader) list(t *tree) error {
	for r.json.PeekKind() != ']' {
		item, err := r.value()
		if err != nil {
			return err
		}
		t.items = append(t.items, item)
	}
	_, err := r.json.ReadToken()
	return err
}
