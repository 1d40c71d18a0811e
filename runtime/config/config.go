package config

import (
	"errors"
	"reflect"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the environment. A Validate method may return one, or several joined with
// [errors.Join].
//
//nolint:errname // callers match *Error, which lists these
type Problem struct {
	// Variable is the name of the variable. It is empty where a Validate method did not name one.
	Variable string
	// What says what the variable must be. It never holds the variable's value.
	What string
}

func (p Problem) Error() string { return strings.TrimSpace(p.Variable + " " + p.What) }

// Error is all that is wrong with the environment.
type Error struct {
	// Problems are in the order of the targets and their fields, each once.
	Problems []Problem
}

// Error returns one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// validator is implemented by structs whose variables depend on each other.
type validator interface{ Validate() error }

// Load fills each target, a pointer to a struct with env tags, from lookup; [os.LookupEnv] is one. It returns nil or an
// *[Error] that lists every problem of every target.
//
// A target, or a struct in it, that has a method Validate() error is asked last, also when there are problems already: a
// variable that could not be read then has its default. A variable may occur in several targets.
//
// Load panics when a target is not such a pointer or a tag that it needs is malformed: [Describe] finds those that it does not,
// such as the bounds of a variable that is not set. Calls with different targets may run concurrently.
func Load(lookup func(string) (string, bool), targets ...any) error {
	var problems []Problem
	for _, target := range targets {
		problems = append(problems, inspect(target).load(lookup)...)
	}
	if len(problems) == 0 {
		return nil
	}
	return &Error{Problems: unique(problems)}
}

func (s *structure) load(lookup func(string) (string, bool)) []Problem {
	var problems []Problem
	for i := range s.fields {
		if err := s.fields[i].load(lookup); err != nil {
			problems = append(problems, *err)
		}
	}
	for _, v := range s.validators {
		for _, p := range flatten(v.Validate()) {
			p.What = s.redact(p.What)
			problems = append(problems, p)
		}
	}
	return problems
}

// redact replaces the secrets of s in text: an error such as that of url.Parse quotes what it was given.
func (s *structure) redact(text string) string {
	const tooShort = 4 // cutting out single letters would garble the text, and hide nothing
	for i := range s.fields {
		if secret, ok := reflect.TypeAssert[Secret](s.fields[i].value); ok && len(secret.Reveal()) >= tooShort {
			text = strings.ReplaceAll(text, secret.Reveal(), redacted)
		}
	}
	return text
}

// flatten turns the error of a Validate method into problems: each of those that errors.Join joined is one, several
// wrapped by fmt.Errorf are one sentence.
func flatten(err error) []Problem {
	if err == nil {
		return nil
	}
	if p, ok := err.(Problem); ok { //nolint:errorlint // what wraps a Problem says more
		return []Problem{oneLine(p)}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(joined.Unwrap()...).Error() {
		return []Problem{oneLine(Problem{What: err.Error()})}
	}
	var problems []Problem
	for _, e := range joined.Unwrap() {
		problems = append(problems, flatten(e)...)
	}
	return problems
}

func oneLine(p Problem) Problem {
	p.What = strings.Join(strings.FieldsFunc(p.What, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return p
}

// unique removes repeated problems: two targets may read the same variable.
func unique(problems []Problem) []Problem {
	var kept []Problem
	for _, p := range problems {
		if !slices.Contains(kept, p) {
			kept = append(kept, p)
		}
	}
	return kept
}
