package schemas

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxViolations bounds the violations that an Error lists.
const maxViolations = 8

// Error says in what ways data does not fit the schema of its type. It holds names that the schema knows and positions,
// never anything that was read.
type Error struct {
	// Type is the CloudEvents type.
	Type string
	// Violations are at most 8, sorted by path.
	Violations []Violation
	// More is how many violations were found beyond those.
	More int
}

// Violation is one way in which data does not fit.
type Violation struct {
	// Path is a JSON pointer (RFC 6901) to the member in question, empty for the data as a whole.
	Path string
	// Problem says what is wrong: "is missing".
	Problem string
}

// String joins path and problem: "/orderId is missing".
func (v Violation) String() string {
	if v.Path == "" {
		return v.Problem
	}
	return v.Path + " " + v.Problem
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "data of %s does not fit its schema: ", e.Type)
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(v.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "; and %d more", e.More)
	}
	return b.String()
}

// newError returns an *Error, or nil where nothing is violated.
func newError(name string, violations []Violation) error {
	if len(violations) == 0 {
		return nil
	}
	slices.SortFunc(violations, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Problem, b.Problem))
	})
	listed := violations[:min(len(violations), maxViolations)]
	return &Error{Type: name, Violations: listed, More: len(violations) - len(listed)}
}
