package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/runtime/config"
)

// The exit codes. Scripts rely on them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNothing     = 3
	exitPartly      = 4
	exitUnreachable = 5
	exitInterrupted = 130
)

// exitCodes is what the help says about them.
const exitCodes = `Exit codes:
  0    done; what runs until Ctrl-C was ended by it
  1    failed
  2    the command line, the environment or the template is wrong
  3    nothing matched
  4    partly done: some events were published, others were not
  5    no broker of the cluster answers, or the database does not
  130  interrupted before it was done`

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.err }

// hinted is an error with what to do about it.
type hinted struct {
	err error
	try string
	// code is the exit code. Default: that of the cause.
	code int
}

func (e *hinted) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *hinted) Unwrap() error { return e.err }

// usageErrors makes whatever cobra says of flags and arguments a [*usageError], for root and its commands.
func usageErrors(root *cobra.Command) {
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	for _, c := range append(root.Commands(), root) {
		check := c.Args
		c.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			switch {
			case err == nil:
				return nil
			case cmd == root:
				return &hinted{err: &usageError{fmt.Errorf("there is no command %q", args[0])}, try: otherCommand(root, args[0])}
			}
			return &usageError{err}
		}
	}
}

func otherCommand(root *cobra.Command, name string) string {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	return fmt.Sprintf("millrace %s; millrace --help lists all", strings.Join(cluster.Closest(name, names, 1), ""))
}

// exit prints err, and on a line of its own what to try next. It returns the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	var known *hinted
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.As(err, &known) {
		err = &hinted{err: errors.New("interrupted"), code: exitInterrupted}
	}
	printed := []byte("millrace: ")
	for i, line := range strings.Split(err.Error(), "\n") {
		if i > 0 {
			printed = append(printed, "\n  "...)
		}
		printed = text.AppendEscaped(printed, line)
	}
	code, try := advice(err)
	if try != "" {
		printed = text.AppendEscaped(append(printed, "\nTry: "...), try)
	}
	_, _ = a.stderr.Write(append(printed, '\n')) // nobody is left to tell if that fails
	return code
}

// advice returns the exit code of an error and what to do about it.
func advice(err error) (code int, try string) {
	var (
		known       *hinted
		usage       *usageError
		environment *config.Error
		unreachable *cluster.UnreachableError
		unknown     *cluster.UnknownTopicError
		template    *stack.TemplateError
		none        *stack.NoTemplateError
		function    *stack.UnknownFunctionError
		build       *process.BuildError
	)
	code = exitFailed
	switch {
	case errors.As(err, &usage):
		code, try = exitUsage, "millrace --help, or --help after the command"
	case errors.As(err, &environment):
		code, try = exitUsage, "correct the variables"
	case errors.As(err, &unreachable):
		code, try = exitUnreachable, "millrace dev starts a Kafka here; --kafka HOST:PORT names another one"
	case errors.As(err, &unknown):
		try = otherTopics(unknown.Closest)
	case errors.As(err, &none), errors.As(err, &template) && errors.Is(err, fs.ErrNotExist):
		code, try = exitUsage, "--template FILE names a SAM template"
	case errors.As(err, &template):
		code, try = exitUsage, "correct the template, or give it values: --parameter KEY=VALUE"
	case errors.As(err, &function):
		code, try = exitUsage, otherFunctions(function.Closest)
	case errors.As(err, &build):
		try = "correct the function, or run what was built before: --prebuilt"
	}
	if errors.As(err, &known) {
		code, try = cmp.Or(known.code, code), cmp.Or(known.try, try)
	}
	return code, try
}

func otherFunctions(closest []string) string {
	if len(closest) == 0 {
		return "a template that has functions: --template FILE"
	}
	return "one of the closest, " + strings.Join(closest, ", ")
}

func otherTopics(closest []string) string {
	if len(closest) == 0 {
		return "millrace dev creates topics; this cluster has none"
	}
	return "one of the closest, " + strings.Join(closest, ", ") + "; millrace topics lists all"
}
