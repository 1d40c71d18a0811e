// Package boot wires functions to the door that they are run behind, from the environment. A function's program is one
// call of [Main], that of a service one call of [Serve].
//
// There are two doors, and neither a function nor a service can tell which one it is behind:
//
//	groupDoor   a process that lives until it is told to stop: a member of each consumer group, a server of each service
//	lambdaDoor  AWS Lambda behind an MSK trigger or a function URL, where AWS_LAMBDA_RUNTIME_API is set
//
// What they share is a process: settings, log, circuits, what remembers handled events, the pipelines made of these, and the
// chores of functions and services.
//
// A build with the tag lambda.norpc has the lambdaDoor only, and nothing that remembers handled events unless it has the tag
// stores, too: so it has 14 MB in place of 39, and starts sooner.
//
// It may import every package of the runtime but those that are for tests.
package boot

import (
	"cmp"
	"context"
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
	// Started is called once, when a member of every consumer group has joined and services answer; on Lambda, when the first
	// event is asked for.
	Started func()
	// Services are run beside the functions, each at an address of its own: API_ADDR lists as many. On Lambda a program is
	// either functions or one service. Default: none.
	Services []function.Service

	// owned says that the process is the program's: its standard log and its garbage collector are the program's then, too.
	owned bool
	// signals says that SIGTERM and SIGINT end the program.
	signals bool
}

// Run runs the functions, each in its consumer group, and the services of o, until ctx ends; then it drains, commits and
// returns nil. It returns an error when it cannot start: the environment or a Spec has problems (all of them are named), no
// broker answers, a topic does not exist, HTTP_ADDR or API_ADDR is in use (an [*AddressError]). A program of services only
// starts without a broker: what its chores publish waits, it is ready meanwhile, and topics are checked when one answers.
//
// Chores of functions and services run from the start until handlers and requests have ended, and then once more. Handlers that
// are io.Closers are closed at the end.
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
	return runInGroups(o.until(ctx), lookup, specs, o)
}

// RunService runs a service, and its chores, until ctx ends; then it answers the requests that it has begun to and returns nil. For
// errors and Lambda see [Run]. Services in o are run besides.
func RunService(ctx context.Context, lookup function.Lookup, service function.Service, o *Options) error {
	var with Options
	if o != nil {
		with = *o
	}
	with.Services = append([]function.Service{service}, with.Services...)
	return Run(ctx, lookup, nil, &with)
}

// name fills in the service's name and version where the environment does not.
func (s *settings) name(p *program) {
	s.Telemetry.ServiceName = cmp.Or(s.Telemetry.ServiceName, p.name())
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
