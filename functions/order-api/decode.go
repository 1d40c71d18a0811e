package orderapi

import (
	"errors"
	"fmt"
	"io"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonFormat reads and writes bodies by the strict JSON library: no member twice, none that nobody knows, none in another case.
var jsonFormat = huma.Format{Marshal: marshal, Unmarshal: unmarshal}

// marshal writes what the API says. Text that comes from a path may be no UTF-8.
func marshal(w io.Writer, v any) error {
	return json.MarshalWrite(w, v, jsontext.AllowInvalidUTF8(true))
}

// unmarshal reads a body. huma calls it twice: for any, by which the schema is checked, and for the struct.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return describe(err)
	}
	if tree, ok := v.(*any); ok {
		*tree = markNull(*tree)
	}
	return nil
}

// describe says what is wrong where, without what was read.
func describe(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("it is no JSON, at byte %d", syntax.ByteOffset)
	}
	if meaning, ok := errors.AsType[*json.SemanticError](err); ok && meaning.Err != nil {
		return fmt.Errorf("%s: %w", meaning.JSONPointer, meaning.Err)
	}
	return errors.New("it does not fit its schema")
}

// null stands for null where schemas are checked: huma takes null for a member that is missing, and no schema here has it.
type null struct{}

// markNull replaces each null in a tree.
func markNull(v any) any {
	switch v := v.(type) {
	case nil:
		return null{}
	case []any:
		for i := range v {
			v[i] = markNull(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = markNull(v[name])
		}
	}
	return v
}
