package config

import (
	"fmt"
	"strings"
)

// Variable describes a variable for people: a row of a README's table, a line of --help.
type Variable struct {
	Name string
	// Default is what an unset variable stands for; empty for none. It never shows a secret.
	Default string
	// Bounds says what the value must be: "a whole number from 1 to 65535".
	Bounds string
	// Doc says what the variable is for, in one sentence.
	Doc      string
	Required bool
	// Secret is set where NAME_FILE may hold the path of a file with the value.
	Secret bool
}

// Describe lists the variables that [Load] reads into targets, in the same order, each name once. A value that a target
// has already is shown as the default. It panics when a target is not a pointer to a struct or a tag is malformed.
func Describe(targets ...any) []Variable {
	var variables []Variable
	seen := map[string]bool{}
	for _, target := range targets {
		fields := inspect(target).fields
		for i := range fields {
			f := &fields[i]
			if seen[f.variable] {
				continue
			}
			seen[f.variable] = true
			f.check()
			variables = append(variables, f.describe())
		}
	}
	return variables
}

func (f *field) describe() Variable {
	return Variable{
		Name:     f.variable,
		Default:  f.defaultText(),
		Bounds:   f.requirement(),
		Doc:      f.tags.Get("doc"),
		Required: f.required,
		Secret:   f.kind == secret,
	}
}

func (f *field) defaultText() string {
	switch {
	case f.value.IsZero():
		return f.fallback
	case f.kind == list:
		return strings.Join(items(f.value), ",")
	}
	return fmt.Sprint(f.value.Interface())
}
