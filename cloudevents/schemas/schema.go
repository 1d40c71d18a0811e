package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
)

// schema is a JSON Schema (draft 2020-12) of the keywords that the documents use; another one is an error. A library that
// knows all of them compiles the schemas of schemas when the program starts, which takes longer than the rest of the start;
// the tests compare with it.
type schema struct {
	// Dialect, ID, Title and Description say nothing of the data.
	Dialect     string `json:"$schema"`
	ID          string `json:"$id"`
	Title       string `json:"title"`
	Description string `json:"description"`

	Types      types              `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	MinLength  *int               `json:"minLength"`
	MaxLength  *int               `json:"maxLength"`
	Minimum    *bound             `json:"minimum"`
	Maximum    *bound             `json:"maximum"`
	Pattern    *pattern           `json:"pattern"`
	Format     format             `json:"format"`
}

// parseSchema reads a document.
func parseSchema(text []byte) (*schema, error) {
	s := &schema{}
	return s, jsonv2.Unmarshal(text, s, jsonv2.RejectUnknownMembers(true))
}

// types are the types that a value may have; none stands for any.
type types []string

// typeNames are all types, in the order in which errors tell them.
var typeNames = []string{"null", "boolean", "number", "integer", "string", "array", "object"}

// UnmarshalJSON reads one type or a list.
func (t *types) UnmarshalJSON(text []byte) error {
	var one string
	err := jsonv2.Unmarshal(text, &one)
	list := []string{one}
	if err != nil {
		err = jsonv2.Unmarshal(text, &list)
	}
	for _, name := range list {
		if err == nil && !slices.Contains(typeNames, name) {
			err = fmt.Errorf("type %q is none", name)
		}
	}
	slices.SortFunc(list, func(a, b string) int { return slices.Index(typeNames, a) - slices.Index(typeNames, b) })
	*t = list
	return err
}

// bound is a minimum or a maximum.
type bound struct{ big.Rat }

// UnmarshalJSON reads a number.
func (b *bound) UnmarshalJSON(text []byte) error {
	if _, ok := b.SetString(string(text)); !ok {
		return errors.New("a bound must be a number")
	}
	return nil
}

// pattern is a regular expression that a text has to match somewhere.
type pattern struct{ *regexp.Regexp }

// UnmarshalText compiles an expression.
func (p *pattern) UnmarshalText(text []byte) (err error) {
	p.Regexp, err = regexp.Compile(string(text))
	return err
}

// check appends how value, as parse returns it, violates s. A value of another type, or
// not in the format, violates nothing else.
func (s *schema) check(violations []Violation, path string, value any) []Violation {
	if got := s.mistyped(value); got != "" {
		return append(violations, Violation{path, fmt.Sprintf("is %s, must be %s", got, strings.Join(s.Types, " or "))})
	}
	if s.Format.violated(value) {
		return append(violations, Violation{path, "must be in the format " + s.Format.name})
	}
	switch v := value.(type) {
	case string:
		return s.checkText(violations, path, v)
	case json.Number:
		return s.checkNumber(violations, path, v)
	case []any:
		return s.checkItems(violations, path, v)
	case map[string]any:
		return s.checkMembers(violations, path, v)
	}
	return violations
}

// mistyped returns the type of value where s does not allow it, else "".
func (s *schema) mistyped(value any) string {
	got := typeOf(value)
	if len(s.Types) == 0 || slices.Contains(s.Types, got) {
		return ""
	}
	if n, ok := value.(json.Number); ok && slices.Contains(s.Types, "integer") && rat(n).IsInt() {
		return ""
	}
	return got
}

func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

func (s *schema) checkText(violations []Violation, path, text string) []Violation {
	if s.MinLength != nil || s.MaxLength != nil {
		n := utf8.RuneCountInString(text)
		if s.MinLength != nil && n < *s.MinLength {
			violations = append(violations, Violation{path, fmt.Sprintf("has %d characters, must have at least %d", n, *s.MinLength)})
		}
		if s.MaxLength != nil && n > *s.MaxLength {
			violations = append(violations, Violation{path, fmt.Sprintf("has %d characters, may have at most %d", n, *s.MaxLength)})
		}
	}
	if s.Pattern != nil && !s.Pattern.MatchString(text) {
		violations = append(violations, Violation{path, "must match " + s.Pattern.String()})
	}
	return violations
}

func (s *schema) checkNumber(violations []Violation, path string, number json.Number) []Violation {
	if s.Minimum == nil && s.Maximum == nil {
		return violations
	}
	r := rat(number)
	if s.Minimum != nil && r.Cmp(&s.Minimum.Rat) < 0 {
		violations = append(violations, Violation{path, "must be at least " + s.Minimum.RatString()})
	}
	if s.Maximum != nil && r.Cmp(&s.Maximum.Rat) > 0 {
		violations = append(violations, Violation{path, "must be at most " + s.Maximum.RatString()})
	}
	return violations
}

// rat is a number whose text and exponent parse has bounded.
func rat(number json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(string(number))
	if !ok {
		return new(big.Rat) // cannot be: it is a number of JSON
	}
	return r
}

func (s *schema) checkItems(violations []Violation, path string, items []any) []Violation {
	if s.Items == nil {
		return violations
	}
	for i, item := range items {
		violations = s.Items.check(violations, path+"/"+strconv.Itoa(i), item)
	}
	return violations
}

// checkMembers builds paths of names that the schema knows: they need no escapes of RFC 6901.
func (s *schema) checkMembers(violations []Violation, path string, members map[string]any) []Violation {
	for _, name := range s.Required {
		if _, ok := members[name]; !ok {
			violations = append(violations, Violation{path + "/" + name, "is missing"})
		}
	}
	for name, property := range s.Properties {
		if member, ok := members[name]; ok {
			violations = property.check(violations, path+"/"+name, member)
		}
	}
	return violations
}
