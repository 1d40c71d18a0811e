package filter

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// condition tells whether a leaf is what a pattern wants.
type condition func(leaf *tree) bool

// comparison compares a string of a record with that of a pattern.
type comparison func(s, with string) bool

const ignoreCase = "equals-ignore-case"

// comparisons are the conditions on strings, by name.
var comparisons = map[string]comparison{
	"prefix":   strings.HasPrefix,
	"suffix":   strings.HasSuffix,
	ignoreCase: strings.EqualFold,
}

// folded are the conditions on strings that take equals-ignore-case.
var folded = map[string]comparison{"prefix": hasPrefixFold, "suffix": hasSuffixFold}

// conditions reads the list at the end of a path, and tells whether one of them allows the leaf to be absent.
func conditions(path []string, t *tree) (all []condition, absent bool, bad *PatternError) {
	if len(t.items) == 0 {
		return nil, false, problem(path, "an empty list is not allowed")
	}
	for i, item := range t.items {
		here := slices.Clone(path)
		here[len(here)-1] += fmt.Sprintf("[%d]", i)
		holds, bad := one(here, item)
		if bad != nil {
			return nil, false, bad
		}
		all = append(all, holds)
		absent = absent || mayBeAbsent(item)
	}
	return all, absent, nil
}

// mayBeAbsent tells whether a valid condition is {"exists": false}.
func mayBeAbsent(t *tree) bool {
	return t.kind == object && t.members[0].name == "exists" && t.members[0].value.text == "false"
}

func one(path []string, t *tree) (condition, *PatternError) {
	switch {
	case t.kind == list:
		return nil, problem(path, "a list within a list is not allowed")
	case t.kind != object:
		return equal(t), nil
	case len(t.members) != 1:
		return nil, problem(path, "a condition has one key, this one has %d", len(t.members))
	}
	name, operand := t.members[0].name, t.members[0].value
	path = append(slices.Clip(path), name)
	switch name {
	case "prefix", "suffix", ignoreCase:
		return compared(path, operand)
	case "anything-but":
		return anythingBut(path, operand)
	case "numeric":
		return numeric(path, operand)
	case "exists":
		return exists(path, operand)
	case "wildcard", "cidr", "exactly":
		return nil, problem(path, "EventBridge has this condition, Lambda has not")
	default:
		return nil, problem(path, "unknown condition; there are prefix, suffix, equals-ignore-case, anything-but, numeric, exists")
	}
}

// equal compares literals, strings and the text of numbers.
func equal(want *tree) condition {
	return func(leaf *tree) bool { return leaf.kind == want.kind && leaf.text == want.text }
}

// exists holds for each leaf there is; that {"exists": false} holds for none is what [absence] is for.
func exists(path []string, operand *tree) (condition, *PatternError) {
	if operand.kind != 't' && operand.kind != 'f' {
		return nil, problem(path, "must be true or false")
	}
	return func(*tree) bool { return operand.kind == 't' }, nil
}

// compared is a condition on strings, by the last name of its path.
func compared(path []string, operand *tree) (condition, *PatternError) {
	name := path[len(path)-1]
	compare := comparisons[name]
	if fold := folded[name]; fold != nil && operand.kind == object {
		if len(operand.members) != 1 || operand.members[0].name != ignoreCase {
			return nil, problem(path, "must be a string or {%q: string}", ignoreCase)
		}
		path, compare, operand = append(slices.Clip(path), ignoreCase), fold, operand.members[0].value
	}
	if operand.kind != text {
		return nil, problem(path, "must be a string")
	}
	return compares(compare, operand.text), nil
}

// compares holds for strings of which the comparison does.
func compares(compare comparison, with string) condition {
	return func(leaf *tree) bool { return leaf.kind == text && compare(leaf.text, with) }
}

// hasPrefixFold compares as many characters of s as the prefix has.
func hasPrefixFold(s, prefix string) bool {
	end := 0
	for range utf8.RuneCountInString(prefix) {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	return strings.EqualFold(s[:end], prefix)
}

// hasSuffixFold compares as many characters of s as the suffix has.
func hasSuffixFold(s, suffix string) bool {
	start := len(s)
	for range utf8.RuneCountInString(suffix) {
		_, size := utf8.DecodeLastRuneInString(s[:start])
		start -= size
	}
	return strings.EqualFold(s[start:], suffix)
}
