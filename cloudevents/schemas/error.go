package schemas

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
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

// appendSchemaViolations adds what the schema library found.
func appendSchemaViolations(violations []Violation, err error) []Violation {
	var found *jsonschema.ValidationError
	if !errors.As(err, &found) {
		return append(violations, Violation{Problem: "cannot be checked"})
	}
	return appendLeaves(violations, found)
}

// appendLeaves adds the leaves of the library's tree of errors: they are the violations, the rest is grouping.
func appendLeaves(violations []Violation, found *jsonschema.ValidationError) []Violation {
	for _, cause := range found.Causes {
		violations = appendLeaves(violations, cause)
	}
	if len(found.Causes) > 0 {
		return violations
	}
	path := pointer(found.InstanceLocation)
	if required, ok := found.ErrorKind.(*kind.Required); ok {
		for _, name := range required.Missing {
			violations = append(violations, Violation{path + "/" + name, "is missing"})
		}
		return violations
	}
	return append(violations, Violation{path, problem(found.ErrorKind)})
}

// pointer joins names that the schema knows and indexes: neither needs the escapes of RFC 6901.
func pointer(location []string) string {
	if len(location) == 0 {
		return ""
	}
	return "/" + strings.Join(location, "/")
}

// problem puts a violated keyword into words. The library's own words would quote the value.
func problem(violated jsonschema.ErrorKind) string {
	switch k := violated.(type) {
	case *kind.Type:
		return fmt.Sprintf("is %s, must be %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.MinLength:
		return fmt.Sprintf("has %d characters, must have at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, may have at most %d", k.Got, k.Want)
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Format:
		return "must be in the format " + k.Want
	}
	return "violates " + strings.Join(violated.KeywordPath(), "/")
}
