package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/function"
)

// templateFlags name a template and how to read it.
type templateFlags struct {
	*app

	path       string
	parameters []string
	prebuilt   bool
}

func (f *templateFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.path, "template", "", "SAM template (default template.yaml here, or in the nearest folder above)")
	flags.StringArrayVar(&f.parameters, "parameter", nil, "KEY=VALUE for a parameter of the template; may be repeated")
	flags.BoolVar(&f.prebuilt, "prebuilt", false, "run the binaries of sam build or make build where there are some, as old as they are")
}

// same is an environment that all functions of a template have.
func same(environment function.Lookup) func(*stack.Function) function.Lookup {
	return func(*stack.Function) function.Lookup { return environment }
}

// load reads the template, and tells what is odd about it.
func (f *templateFlags) load() (*stack.File, error) {
	parameters := map[string]string{}
	for _, p := range f.parameters {
		name, value, found := strings.Cut(p, "=")
		if !found || name == "" {
			return nil, &usageError{fmt.Errorf("--parameter is %q, must be KEY=VALUE", p)}
		}
		parameters[name] = value
	}
	path := f.path
	if path == "" {
		var err error
		if path, err = stack.Find("."); err != nil {
			return nil, err
		}
	}
	file, err := stack.Load(path, parameters)
	if err != nil {
		return nil, err
	}
	for _, warning := range file.Warnings {
		fmt.Fprintf(f.stderr, "Warning: %s: %s\n", filepath.Base(path), text.Escaped(warning))
	}
	return file, nil
}

// tellNotes prints what is right about these functions of a template but may surprise.
func (f *templateFlags) tellNotes(file *stack.File, functions []stack.Function) {
	for _, note := range file.Notes {
		if slices.ContainsFunc(functions, func(f stack.Function) bool { return strings.Contains(note, "Resources."+f.LogicalID+".") }) {
			fmt.Fprintf(f.stderr, "Note: %s: %s\n", filepath.Base(file.Path), text.Escaped(note))
		}
	}
}

// variables are what the functions take from this process in the place of the template's, beside the template's own.
func variables() []string { return stack.Variables(catalog.Functions()) }

// drain is how long running invocations may go on after Ctrl-C. Who presses it waits for that.
func (a *app) drain() (time.Duration, error) {
	value, _ := a.lookup("DRAIN_TIMEOUT")
	if value == "" {
		return 3 * time.Second, nil
	}
	drain, err := time.ParseDuration(value)
	if err == nil && drain <= 0 {
		err = errors.New("it must be positive")
	}
	if err != nil {
		return 0, &usageError{fmt.Errorf("DRAIN_TIMEOUT is %q: %w", value, err)}
	}
	return drain, nil
}
