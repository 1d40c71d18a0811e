package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// or is the key of alternatives.
const or = "$or"

// reserved are the keys that must not stand in an object of "$or", for EventBridge keeps them for conditions.
var reserved = []string{
	"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
	"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case",
	"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
	"ip-address-in-range", "ip-address-not-in-range",
}

// clause is a leaf of a pattern, with the names that lead to it.
type clause struct {
	path       []string
	conditions []condition
	// absent tells whether the leaf may be missing.
	absent bool
}

// compile turns a pattern into its alternatives: its "$or" are multiplied out.
func compile(pattern string) ([]alternative, *PatternError) {
	if len(pattern) > MaxPatternBytes {
		return nil, problem(nil, "it has %d bytes, AWS takes at most %d", len(pattern), MaxPatternBytes)
	}
	t, err := parse([]byte(pattern), nil, jsontext.AllowDuplicateNames(false))
	if err != nil {
		return nil, problem(nil, "it is not valid JSON: %v", err)
	}
	if t.kind != object {
		return nil, problem(nil, "it must be a JSON object such as {\"value\": {\"type\": [\"a\"]}}")
	}
	rules, bad := multiply([][]clause{nil}, nil, t, false)
	if bad != nil {
		return nil, bad
	}
	alternatives := make([]alternative, 0, len(rules))
	for _, rule := range rules {
		a, bad := build(rule)
		if bad != nil {
			return nil, bad
		}
		alternatives = append(alternatives, a)
	}
	return alternatives, nil
}

// multiply adds the clauses of an object to each rule; an "$or" makes as many rules of each as it has objects.
func multiply(rules [][]clause, path []string, t *tree, within bool) ([][]clause, *PatternError) {
	if len(t.members) == 0 {
		return nil, problem(path, "an empty object is not allowed")
	}
	for _, m := range t.members {
		var bad *PatternError
		if m.name == or {
			rules, bad = branch(rules, path, m.value)
		} else {
			rules, bad = extend(rules, append(slices.Clip(path), m.name), m.value, within)
		}
		if bad != nil {
			return nil, bad
		}
	}
	return rules, nil
}

// extend adds one member of an object, whose path it gets, to each rule.
func extend(rules [][]clause, path []string, t *tree, within bool) ([][]clause, *PatternError) {
	name := path[len(path)-1]
	switch {
	case len(path) == 1 && name != "value":
		return nil, problem(path, "mappings of Kafka can filter on \"value\" only")
	case within && slices.Contains(reserved, name):
		return nil, problem(path, "this key is reserved and must not stand within %q", or)
	case t.kind == object:
		return multiply(rules, path, t, within)
	case t.kind != list:
		return nil, problem(path, "must be an object or a list of conditions")
	}
	c := clause{path: path}
	var bad *PatternError
	if c.conditions, c.absent, bad = conditions(path, t); bad != nil {
		return nil, bad
	}
	extended := make([][]clause, len(rules))
	for i, rule := range rules {
		extended[i] = append(slices.Clip(rule), c)
	}
	return extended, nil
}

func branch(rules [][]clause, path []string, t *tree) ([][]clause, *PatternError) {
	here := append(slices.Clip(path), or)
	if t.kind != list || len(t.items) < 2 {
		return nil, problem(here, "must be a list of at least two objects")
	}
	var all [][]clause
	for i, item := range t.items {
		if item.kind != object {
			return nil, problem(here, "must be a list of objects, element %d is none", i)
		}
		some, bad := multiply(rules, path, item, true)
		if bad != nil {
			return nil, bad
		}
		if all = append(all, some...); len(all) > MaxAlternatives {
			return nil, problem(here, "makes more than %d combinations", MaxAlternatives)
		}
	}
	return all, nil
}

// build makes a tree of fields of the clauses of a rule.
func build(rule []clause) (alternative, *PatternError) {
	root := &field{}
	var absent []absence
	for _, c := range rule {
		leaf, bad := root.add(c)
		if bad != nil {
			return alternative{}, bad
		}
		if c.absent {
			absent = append(absent, absence{leaf: leaf, path: c.path[1:]})
		}
	}
	return alternative{value: root.children["value"], absent: absent}, nil
}

func (f *field) add(c clause) (*field, *PatternError) {
	for i, name := range c.path {
		if f.conditions != nil {
			return nil, problem(c.path[:i], "is a list of conditions here and an object there: nothing is both")
		}
		if f.children == nil {
			f.children = map[string]*field{}
		}
		if f.children[name] == nil {
			f.children[name] = &field{}
		}
		f = f.children[name]
	}
	switch {
	case f.conditions != nil:
		return nil, problem(c.path, "stands twice, inside and outside of %q: AWS would use one of them only", or)
	case f.children != nil:
		return nil, problem(c.path, "is a list of conditions here and an object there: nothing is both")
	}
	f.conditions = c.conditions
	return f, nil
}

func problem(path []string, format string, args ...any) *PatternError {
	return &PatternError{Path: strings.Join(path, "."), Problem: fmt.Sprintf(format, args...)}
}
