package boot

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
)

// Main runs the functions until SIGTERM or SIGINT, and ends the process: with 0 when it was asked to stop, 1 when it
// could not start, 2 when it was called with arguments that it does not know. A second signal ends it at once. On Lambda it
// listens to signals from the moment on when it has asked for an event.
func Main(specs ...function.Spec) {
	os.Exit(command(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr, specs, &Options{owned: true, signals: true}))
}

// Serve is [Main] for a service: it answers requests until SIGTERM or SIGINT.
func Serve(service function.Service) {
	os.Exit(command(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr, nil,
		&Options{Services: []function.Service{service}, owned: true, signals: true}))
}

// until returns ctx, or where signals end the program a context that ends with it, at SIGTERM and at SIGINT: a second signal ends
// the process.
func (o *Options) until(ctx context.Context) context.Context {
	if !o.signals {
		return ctx
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx
}

// Command is [Main] without the process: it runs until ctx ends and returns the exit code.
func Command(ctx context.Context, args []string, lookup function.Lookup, stdout, stderr io.Writer, specs []function.Spec) int {
	return command(ctx, args, lookup, stdout, stderr, specs, &Options{owned: true})
}

// ServeCommand is [Serve] without the process, as [Command] is Main.
func ServeCommand(ctx context.Context, args []string, lookup function.Lookup, stdout, stderr io.Writer, service function.Service) int {
	return command(ctx, args, lookup, stdout, stderr, nil, &Options{Services: []function.Service{service}, owned: true})
}

func command(ctx context.Context, args []string, lookup function.Lookup, stdout, stderr io.Writer, specs []function.Spec, o *Options) int {
	switch {
	case len(args) == 0:
	case len(args) == 1 && (args[0] == "-h" || args[0] == "--help"):
		help(stdout, specs, o.Services)
		return 0
	default:
		fmt.Fprintf(stderr, "unknown arguments %q: everything is set by the environment, --help lists the variables\n", args)
		return 2
	}
	if err := Run(ctx, lookup, specs, o); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// help describes the program: what it runs, and what it reads from the environment.
func help(w io.Writer, specs []function.Spec, services []function.Service) {
	if len(services) == 0 {
		fmt.Fprintln(w, "Runs on Kafka until it is told to stop, or on AWS Lambda behind an MSK trigger:")
	} else {
		fmt.Fprintln(w, "Answers HTTP requests until it is told to stop, or on AWS Lambda behind a function URL:")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range specs {
		if s, err := s.Complete(); err == nil {
			fmt.Fprintf(table, "  %s\treads %s as group %s\temits %s\n", s.Name, s.Topic, s.Group, strings.Join(s.Emits, ", "))
		}
	}
	for _, s := range services {
		fmt.Fprintf(table, "  %s\tlistens at API_ADDR\n", s.Name)
	}
	fmt.Fprintln(table, "\nEnvironment:")
	list(table, variables(specs, services)...)
	fmt.Fprintln(table, "\nEnvironment on Lambda, where KAFKA_BROKERS has no default, HTTP_ADDR, API_ADDR and what is about consumer groups has no "+
		"meaning,\nand the functions must be of one consumer group:")
	list(table, &lambdaSettings{})
	_ = table.Flush()
}

// list writes a line for each variable that fills targets.
func list(w io.Writer, targets ...any) {
	for _, v := range config.Describe(targets...) {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", v.Name, v.Default, v.Bounds, v.Doc)
	}
}

// Variables describes what a program of these functions and services reads from its environment, beside what Lambda sets.
func Variables(specs []function.Spec, services ...function.Service) []config.Variable {
	return config.Describe(variables(specs, services)...)
}

// variables are the structs that the program fills from the environment.
func variables(specs []function.Spec, services []function.Service) []any {
	targets := (&settings{}).targets(len(services) > 0)
	for _, service := range services {
		if service.Settings != nil {
			targets = append(targets, service.Settings)
		}
	}
	for _, spec := range specs {
		if spec.Settings != nil {
			targets = append(targets, spec.Settings)
		}
	}
	return targets
}
