// Package boot wires functions to the door that they are run behind, from the environment. A function's program is one
// call of [Main].
//
// There are two doors, and a function cannot tell which one it is behind:
//
//	groupDoor   a member of each consumer group, until the process is told to stop
//	lambdaDoor  AWS Lambda behind an MSK trigger, where AWS_LAMBDA_RUNTIME_API is set
//
// What they share is a process: settings, log, circuits, what remembers handled events, and the pipelines made of these.
//
// It may import every package of the runtime but those that are for tests.
package boot

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// Options of Run. The zero value is the default.
type Options struct {
	// Log takes the log. Default: standard error, as LOG_LEVEL and LOG_FORMAT say.
	Log *slog.Logger
	// Observers are told of each outcome, after metrics and log.
	Observers []pipeline.Observer
	// Started is called once, when a member of every consumer group has joined; on Lambda, when the first event is asked for.
	Started func()
}

// Run runs the functions, each in its consumer group, until ctx ends; then it drains, commits and returns nil. It
// returns an error when it cannot start: the environment or a Spec has problems (all of them are named), no broker
// answers, a topic does not exist, HTTP_ADDR is in use.
//
// Where lookup finds AWS_LAMBDA_RUNTIME_API, which must be a variable of the process itself, Run serves the invocations of
// Lambda instead. An error at the start is told to Lambda, too. When ctx ends, an invocation that runs is waited for; if its
// answer is lost nevertheless, Lambda delivers its records again. The process must then end: the client of Lambda cannot
// be stopped, and where Lambda's interface fails it ends the process itself.
func Run(ctx context.Context, lookup function.Lookup, specs []function.Spec, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	if api, ok := runtimeAPI(lookup); ok {
		return runOnLambda(ctx, api, lookup, specs, o)
	}
	return runInGroups(ctx, lookup, specs, o)
}

// build completes the Specs and makes their handlers.
func build(lookup function.Lookup, specs []function.Spec) ([]pipeline.Function, error) {
	if len(specs) == 0 {
		return nil, errors.New("there is no function to run")
	}
	functions := make([]pipeline.Function, len(specs))
	problems := make([]error, len(specs))
	for i, spec := range specs {
		functions[i], problems[i] = pipeline.Make(spec, lookup)
	}
	return functions, errors.Join(problems...)
}

// name fills in the service's name and version where the environment does not.
func (s *settings) name(functions []pipeline.Function) {
	if s.Telemetry.ServiceName == "" {
		s.Telemetry.ServiceName = "millrace"
		if len(functions) == 1 {
			s.Telemetry.ServiceName = functions[0].Spec.Name
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok && s.Telemetry.ServiceVersion == "" {
		s.Telemetry.ServiceVersion = info.Main.Version
	}
}

// logger returns the log that o asks for, or that of the process.
func (o *Options) logger(s *settings) *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return telemetry.NewLogger(os.Stderr, s.Telemetry)
}
