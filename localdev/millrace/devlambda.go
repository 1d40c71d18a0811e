package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// The doors of millrace dev.
const (
	groupDoor  = "group"
	lambdaDoor = "lambda"
)

// behindLambda is what millrace dev knows of functions behind emulated triggers.
type behindLambda struct {
	flags     templateFlags
	file      *stack.File
	functions []stack.Function
}

func (b *behindLambda) register(flags *pflag.FlagSet) { b.flags.register(flags) }

// checkDoor checks what depends on the door, and reads the template where it is needed.
func (d *dev) checkDoor(flags *pflag.FlagSet) error {
	wrong, others := lambdaDoor, []string{"template", "parameter", "prebuilt"}
	switch d.door {
	case groupDoor:
	case lambdaDoor:
		wrong, others = groupDoor, []string{"http-addr"}
	default:
		return &usageError{fmt.Errorf("--door is %q, must be %s or %s", d.door, groupDoor, lambdaDoor)}
	}
	for _, name := range others {
		if flags.Changed(name) {
			return &usageError{fmt.Errorf("--%s is for --door %s", name, wrong)}
		}
	}
	if d.door == groupDoor {
		return nil
	}
	return d.lambda.load()
}

func (b *behindLambda) load() (err error) {
	if b.file, err = b.flags.load(); err != nil {
		return err
	}
	b.functions, err = b.file.Select()
	if err == nil && len(b.functions) == 0 {
		err = fmt.Errorf("%s: no function has an event source of Kafka that is enabled", b.file.Path)
	}
	return err
}

// serveLambda runs the functions' programs behind emulated triggers until ctx ends. What becomes of records is read off
// their logs.
func (d *dev) serveLambda(ctx context.Context, environment runner.Environment, kafka kafkaclient.Config, started func()) error {
	drain, err := d.drain()
	if err != nil {
		return err
	}
	log := d.log(isOutcome)
	outcomes := stack.NewOutcomes(catalog.Functions(), d.view, log)
	if !d.json {
		d.view.Print(fmt.Sprintf("Building %s.\n", counted(len(d.lambda.functions), "function")))
	}
	s, err := stack.Open(ctx, d.lambda.file, d.lambda.functions, &stack.Options{
		Lookup: func(f *stack.Function) function.Lookup { return told(environment(f.Label)) }, Variables: variables(), Prebuilt: d.lambda.flags.prebuilt, Folder: failuresFolder,
		Drain: drain, Log: log, Event: outcomes.Event, Output: outcomes.Output,
	})
	switch {
	case err == nil:
		return errors.Join(s.Run(ctx, kafka, started), s.Close())
	case ctx.Err() != nil:
		return nil //nolint:nilerr // ended while it was starting
	}
	return err
}

// told is an environment in which a function logs what [stack.Outcomes] needs.
func told(environment function.Lookup) function.Lookup {
	return func(key string) (string, bool) {
		switch key {
		case "LOG_LEVEL":
			return "debug", true
		case "LOG_FORMAT":
			return "json", true
		}
		return environment(key)
	}
}

// serve is how the functions are run where it is not the runner that does it.
func (d *dev) serve() func(context.Context, runner.Environment, kafkaclient.Config, func()) error {
	if d.door == lambdaDoor {
		return d.serveLambda
	}
	return nil
}

// functionsRow is what the banner says of the functions.
func (d *dev) functionsRow() (what, how string) {
	if d.door == groupDoor {
		return fmt.Sprint(len(catalog.Functions())), fmt.Sprintf("in %d consumer groups", groups())
	}
	names := map[string]bool{}
	for _, f := range d.lambda.functions {
		for _, m := range f.Enabled() {
			names[m.Group] = true
		}
	}
	return fmt.Sprint(len(d.lambda.functions)),
		fmt.Sprintf("behind emulated MSK triggers, in the %s of %s", counted(len(names), "consumer group"), d.lambda.file.Path)
}
