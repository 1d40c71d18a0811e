package filter

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// The bounds of filters, which are AWS's but for MaxAlternatives, which is EventBridge's.
const (
	// MaxPatterns is how many patterns a mapping may have once AWS has raised the quota, which is [DefaultPatterns].
	MaxPatterns = 10
	// DefaultPatterns is how many patterns a mapping may have.
	DefaultPatterns = 5
	// MaxPatternBytes bounds the text of a pattern.
	MaxPatternBytes = 4096
	// MaxAlternatives bounds the combinations that the "$or" of one pattern make.
	MaxAlternatives = 1000
)

// Filter selects records. Any number of goroutines may use it.
type Filter struct {
	alternatives []alternative
	// names are the keys that some pattern looks at; what is below others is not kept.
	names map[string]bool
}

// Compile reads patterns, of which a record must match one. Without any, each record matches. A mistake that AWS would
// refuse is a [*PatternError].
func Compile(patterns ...string) (*Filter, error) {
	if len(patterns) > MaxPatterns {
		return nil, fmt.Errorf("there are %d filter patterns, a mapping has at most %d", len(patterns), MaxPatterns)
	}
	f := &Filter{names: map[string]bool{}}
	for i, p := range patterns {
		alternatives, err := compile(p)
		if err != nil {
			err.Index = i
			return nil, err
		}
		for _, a := range alternatives {
			a.value.collect(f.names)
		}
		f.alternatives = append(f.alternatives, alternatives...)
	}
	return f, nil
}

// PatternError says what is wrong with a pattern, and where in it.
type PatternError struct {
	// Index is which of the patterns, from 0.
	Index int
	// Path leads to the mistake, such as "value.price[0].numeric"; empty for the pattern as a whole.
	Path string
	// Problem is the mistake.
	Problem string
}

func (e *PatternError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("filter pattern %d: %s", e.Index, e.Problem)
	}
	return fmt.Sprintf("filter pattern %d: %s: %s", e.Index, e.Path, e.Problem)
}

// Match is what came of a record's value.
type Match int

const (
	// Rejected says that no pattern matches: the record is dropped, and its offset committed with the others.
	Rejected Match = iota
	// Matched says that a pattern matches.
	Matched
	// NotApplied says that no pattern that applies matches, and that one does not apply, for it is about JSON and the
	// value is a plain string, or the reverse. The record is delivered.
	NotApplied
)

// Delivered tells whether the function gets the record.
func (m Match) Delivered() bool { return m != Rejected }

func (m Match) String() string {
	switch m {
	case Matched:
		return "matched"
	case NotApplied:
		return "not applied"
	default:
		return "rejected"
	}
}

// Match tells what the patterns make of a record's value; nil is the null of a tombstone, which every pattern applies to.
func (f *Filter) Match(value []byte) Match {
	if len(f.alternatives) == 0 {
		return Matched
	}
	v := f.read(value)
	outcome := Rejected
	for _, a := range f.alternatives {
		switch {
		case v.kind != null && a.value.isLeaf() == v.isContainer():
			outcome = NotApplied
		case a.matches(v):
			return Matched
		}
	}
	return outcome
}

// read makes a tree of a value.
func (f *Filter) read(value []byte) *tree {
	if value == nil {
		return &tree{kind: null, text: "null"}
	}
	value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
	if v, err := parse(value, f.names, jsontext.AllowDuplicateNames(true)); err == nil && v.isContainer() {
		return v
	}
	return &tree{kind: text, text: string(value)}
}
