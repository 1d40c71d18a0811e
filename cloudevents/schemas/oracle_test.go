package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"pgregory.net/rapid"
)

// library compiles the schema of a type with a library that knows all of JSON Schema.
func library(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	text, _ := Schema(name)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, check := range formats {
		compiler.RegisterFormat(&jsonschema.Format{Name: name, Validate: check})
	}
	if err := compiler.AddResource(name, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// violationsOf are the leaves of the library's tree of errors, in our words.
func violationsOf(err error) []Violation {
	var found *jsonschema.ValidationError
	if !errors.As(err, &found) {
		return nil
	}
	var violations []Violation
	for _, cause := range found.Causes {
		violations = append(violations, violationsOf(cause)...)
	}
	path := ""
	if len(found.InstanceLocation) > 0 {
		path = "/" + strings.Join(found.InstanceLocation, "/")
	}
	switch k := found.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			violations = append(violations, Violation{path + "/" + name, "is missing"})
		}
	case *kind.Type:
		violations = append(violations, Violation{path, fmt.Sprintf("is %s, must be %s", k.Got, strings.Join(k.Want, " or "))})
	case *kind.MinLength:
		violations = append(violations, Violation{path, fmt.Sprintf("has %d characters, must have at least %d", k.Got, k.Want)})
	case *kind.MaxLength:
		violations = append(violations, Violation{path, fmt.Sprintf("has %d characters, may have at most %d", k.Got, k.Want)})
	case *kind.Minimum:
		violations = append(violations, Violation{path, "must be at least " + k.Want.RatString()})
	case *kind.Maximum:
		violations = append(violations, Violation{path, "must be at most " + k.Want.RatString()})
	case *kind.Pattern:
		violations = append(violations, Violation{path, "must match " + k.Want})
	case *kind.Format:
		violations = append(violations, Violation{path, "must be in the format " + k.Want})
	}
	return violations
}

func compare(t rapid.TB, name string, theirs *jsonschema.Schema, value any) {
	t.Helper()
	got, want := checkers()[name]().schema.check(nil, "", value), violationsOf(theirs.Validate(value))
	for _, list := range [][]Violation{got, want} {
		slices.SortFunc(list, func(a, b Violation) int { return strings.Compare(a.String(), b.String()) })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %v: the library differs:\n%s", name, value, diff)
	}
}

// values are values of all types, with those that are just within or beyond what the documents allow.
var values = []any{
	nil, true, "", "a", "EUR", "99.99", "-1", "1e2", "2023-12-01T10:00:00Z", "2023-12-01", strings.Repeat("ä", 256), strings.Repeat("ä", 257),
	json.Number("0"), json.Number("-0.0"), json.Number("1"), json.Number("1.0"), json.Number("0.5"), json.Number("1e9"), json.Number("1000000001"),
	json.Number("2147483648"), json.Number("-0.01"), []any{}, map[string]any{},
}

// value generates data in which what s names is often there.
func value(s *schema, depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind > 1 && s != nil && len(s.Properties) > 0 && depth > 0:
			members := map[string]any{}
			for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
				if rapid.IntRange(0, 3).Draw(t, name) > 0 {
					members[name] = value(s.Properties[name], depth-1).Draw(t, name)
				}
			}
			return members
		case kind > 1 && s != nil && s.Items != nil && depth > 0:
			return []any{value(s.Items, depth-1).Draw(t, "item"), value(s.Items, depth-1).Draw(t, "item")}
		}
		return rapid.SampledFrom(values).Draw(t, "value")
	})
}

func TestSchemasJudgeAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	for _, entry := range All() {
		t.Run(entry.Name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := library(t, entry.Name), checkers()[entry.Name]().schema
			rapid.Check(t, func(t *rapid.T) { compare(t, entry.Name, theirs, value(ours, 4).Draw(t, "data")) })
		})
	}
}

func FuzzSchemas(f *testing.F) {
	var theirs []*jsonschema.Schema
	for i, entry := range All() {
		theirs = append(theirs, library(f, entry.Name))
		sample, err := os.ReadFile("testdata/samples/" + strings.TrimPrefix(entry.Name, typePrefix) + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), sample)
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		value, err := parse(data)
		if err != nil {
			return
		}
		n := int(i) % len(theirs)
		compare(t, All()[n].Name, theirs[n], value)
	})
}

// A document says nothing that is not checked.
func TestUnknownKeywordsAreErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"oneOf":[]}`, `{"type":"text"}`, `{"type":["null","text"]}`, `{"type":1}`, `{"format":"uri"}`, `{"pattern":"("}`, `{"minimum":"1"}`,
		`{"properties":{"a":{"const":1}}}`, `{"items":{"uniqueItems":true}}`, `[]`, ``,
	} {
		if _, err := parseSchema([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
