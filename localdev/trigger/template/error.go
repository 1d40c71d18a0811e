package template

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Error is a mistake in a template. [Parse] joins all that it finds.
type Error struct {
	// Line is where it is, from 1; of what is missing, where it would be.
	Line int
	// Path leads to it, such as "Resources.Orders.Properties.Timeout"; empty for the template as a whole.
	Path string
	// Problem says what is wrong, and what to do where that is not plain.
	Problem string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Path, e.Problem)
}

// findings are what is to be said of a template.
type findings []*Error

func (f *findings) addf(p place, format string, args ...any) {
	found := &Error{Line: p.line, Path: p.path, Problem: fmt.Sprintf(format, args...)}
	if !slices.ContainsFunc(*f, func(e *Error) bool { return *e == *found }) {
		*f = append(*f, found)
	}
}

func (f findings) sorted() findings {
	return slices.SortedStableFunc(slices.Values(f), func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
}

func (f findings) lines() []string {
	var lines []string
	for _, e := range f.sorted() {
		lines = append(lines, e.Error())
	}
	return lines
}

func (f findings) err() error {
	var errs []error
	for _, e := range f.sorted() {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}
