package template

import "strings"

// kind is what a value is.
type kind int

const (
	// none is nothing at all: a member that is missing, or AWS::NoValue.
	none kind = iota
	null
	text
	list
	object
)

func (k kind) String() string {
	return [...]string{"nothing", "null", "text", "a list", "an object"}[k]
}

// value is a part of the template, or what a function in it makes. Numbers and booleans are text.
type value struct {
	kind    kind
	text    string
	items   []value
	members []member
	// unknown says why the text is a placeholder, in whole or in part; empty if it is not.
	unknown string
	// line is where it stands.
	line int
}

type member struct {
	name  string
	line  int
	value value
}

// get returns the member of that name, or none.
func (v value) get(name string) value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return value{line: v.line}
}

// known returns a text.
func known(s string) value { return value{kind: text, text: s} }

// unknown returns a placeholder, which stands in angle brackets, for what the reason keeps from being known.
func unknown(what, reason string) value {
	return value{kind: text, text: "<" + what + ">", unknown: reason}
}

// inAccount returns a placeholder for what AWS knows.
func inAccount(what string) value {
	return unknown(what, what+" is known to AWS alone")
}

// call returns the function that an object calls with its one member, such as "Fn::Sub".
func (v value) call() (name string, ok bool) {
	if v.kind != object || len(v.members) != 1 {
		return "", false
	}
	name = v.members[0].name
	return name, name == "Ref" || strings.HasPrefix(name, "Fn::")
}
