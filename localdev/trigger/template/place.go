package template

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// place is a value of the template and the path that leads to it. Functions such as Fn::Sub are called on the way: a
// place that [place.member] or [place.elements] gives has what they make.
type place struct {
	*reader

	path string
	value
}

// missing tells whether there is nothing: no such member, or AWS::NoValue.
func (p place) missing() bool { return p.kind == none }

// member returns the member of that name; of what is no object, a missing one.
func (p place) member(name string) place {
	return p.raw(name).evaluate()
}

// raw is member without calling a function.
func (p place) raw(name string) place {
	return place{reader: p.reader, path: p.path + "." + name, value: p.get(name)}
}

// in returns what is at the end of a chain of names.
func (p place) in(names ...string) place {
	for _, name := range names {
		p = p.member(name)
	}
	return p
}

// fields returns the members of an object that are there. Anything else but nothing is an error.
func (p place) fields() []place {
	if p.kind != object && !p.missing() {
		p.failf("must be an object, is %v", p.kind)
	}
	var fields []place
	for _, m := range p.members {
		if f := p.member(m.name); !f.missing() {
			fields = append(fields, f)
		}
	}
	return fields
}

// name is the last part of the path.
func (p place) name() string {
	return p.path[strings.LastIndexByte(p.path, '.')+1:]
}

// elements returns the elements of a list that are there. Anything else but nothing is an error.
func (p place) elements() []place {
	if p.kind == text && p.unknown != "" {
		p.needs()
		return nil
	}
	if p.kind != list && !p.missing() {
		p.failf("must be a list, is %v", p.kind)
	}
	var elements []place
	for i := range p.items {
		if e := p.rawElement(i).evaluate(); !e.missing() {
			elements = append(elements, e)
		}
	}
	return elements
}

func (p place) rawElement(i int) place {
	return place{reader: p.reader, path: p.path + "[" + strconv.Itoa(i) + "]", value: p.items[i]}
}

// needs reports that a placeholder does not do here.
func (p place) needs() {
	p.failf("must be known here, and %s", p.unknown)
}

// exact returns a text that must be known; not where it is missing or there is an error.
func (p place) exact() (string, bool) {
	switch {
	case p.missing():
		return "", false
	case p.kind != text:
		p.failf("must be text, is %v", p.kind)
		return "", false
	case p.unknown != "":
		p.needs()
		return "", false
	default:
		return p.text, true
	}
}

// str is exact, and "" where there is none.
func (p place) str() string {
	s, _ := p.exact()
	return s
}

// loose returns a text that may be a placeholder.
func (p place) loose() string {
	if p.kind != text && !p.missing() {
		p.failf("must be text, is %v", p.kind)
	}
	return p.text
}

// oneOf returns one of the texts, the first by default.
func (p place) oneOf(texts ...string) string {
	switch s, ok := p.exact(); {
	case !ok:
		return texts[0]
	case !slices.Contains(texts, s):
		p.failf("is %q, must be one of %s", s, strings.Join(texts, ", "))
		return texts[0]
	default:
		return s
	}
}

// number returns a whole number between the bounds, or what is the default.
func (p place) number(low, high, otherwise int) int {
	s, ok := p.exact()
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		p.failf("is %q, must be a whole number", s)
	case n >= low && n <= high:
		return n
	case high >= math.MaxInt32:
		p.failf("is %d, must be at least %d", n, low)
	default:
		p.failf("is %d, must be %d to %d", n, low, high)
	}
	return otherwise
}

// truth returns true or false, or what is the default.
func (p place) truth(otherwise bool) bool {
	s, ok := p.exact()
	if !ok {
		return otherwise
	}
	switch strings.ToLower(s) {
	case "true":
		return true
	case "false":
		return false
	default:
		p.failf("is %q, must be true or false", s)
		return otherwise
	}
}

func (p place) failf(format string, args ...any) { p.problems.addf(p, format, args...) }
func (p place) warnf(format string, args ...any) { p.warnings.addf(p, format, args...) }
func (p place) notef(format string, args ...any) { p.notes.addf(p, format, args...) }
