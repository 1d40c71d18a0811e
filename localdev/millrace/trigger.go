package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// polling is the command trigger.
type polling struct {
	*app

	template templateFlags
	kafka    kafkaFlag
	debug    string
	failures string
	json     bool
}

func (a *app) triggerCommand() *cobra.Command {
	p := &polling{app: a, template: templateFlags{app: a}}
	cmd := &cobra.Command{
		Use:   "trigger [FUNCTION…]",
		Short: "Poll any Kafka for functions of a SAM template, as AWS Lambda's event source mappings do",
		Long: `Poll any Kafka for functions of a SAM template, as AWS Lambda's event source mappings do: the programs that are deployed
run on this machine behind Lambda's interface, with the template's group, starting position, batches, filters, retries and
destinations. Neither an account nor a container is needed. Without names all functions run whose mappings are enabled.

The programs are built first; the go command knows what has changed. They get the template's variables, and on top those
that are set here. How Kafka is reached is always as here: --kafka and KAFKA_TLS, KAFKA_SASL_MECHANISM and so on.

A line is printed for what becomes of a batch, with partition@first-last of its records, and the lines that the functions
write. Ctrl-C ends it: what runs may finish (3 s, or DRAIN_TIMEOUT), what is done is committed.`,
		Example: `  millrace trigger                                          all functions, on the Kafka at 127.0.0.1:9092
  millrace trigger order-created --kafka kafka.example:9092
  millrace trigger order-created --parameter BatchSize=10 --parameter StartingPosition=LATEST
  millrace trigger --debug order-created                    prints what to export before dlv debug
  millrace trigger --json | jq 'select(.kind == "answered")'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	p.template.register(flags)
	p.kafka.register(flags)
	flags.StringVar(&p.debug, "debug", "", "start the program of this function yourself, under a debugger")
	flags.StringVar(&p.failures, "failures", failuresFolder, "folder for what AWS would send to an on-failure destination in SQS, SNS or S3")
	flags.BoolVar(&p.json, "json", false, "print one JSON object for each line")
	return cmd
}

// failuresFolder is where what AWS would send to SQS, SNS or S3 goes.
const failuresFolder = ".millrace/on-failure"

func (p *polling) run(ctx context.Context, names []string) error {
	file, functions, err := p.selected(names)
	if err != nil {
		return err
	}
	kafka, err := p.kafka.config(p.lookup)
	if err != nil {
		return err
	}
	drain, err := p.drain()
	if err != nil {
		return err
	}
	if err := stack.Check(ctx, kafka, functions); err != nil {
		return err
	}
	shown := &batches{out: p.stdout, json: p.json, failed: make(chan error, 1)}
	fmt.Fprintf(p.stderr, "Building %s.\n", counted(len(functions), "function"))
	s, err := stack.Open(ctx, file, functions, &stack.Options{
		Lookup: same(onCluster(p.lookup, kafka)), Variables: variables(), Prebuilt: p.template.prebuilt, Debug: p.debug,
		Folder: p.failures, Drain: drain, Log: p.log(isAnswer), Output: shown.output, Batch: shown.batch,
	})
	if err != nil {
		return err
	}
	if p.debug != "" {
		shown.environment(p.debug, s.Environment())
	}
	return errors.Join(p.poll(ctx, s, kafka, shown, func() { shown.started(file, kafka.Brokers, functions) }), s.Close())
}

// poll runs until ctx ends or nobody reads what is shown.
func (p *polling) poll(ctx context.Context, s *stack.Stack, kafka kafkaclient.Config, shown *batches, started func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, shown.ending)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, kafka, started) }()
	select {
	case err := <-ended:
		return err
	case err := <-shown.failed:
		cancel()
		return errors.Join(ignoreClosedPipe(err), <-ended)
	}
}

// selected reads the template and finds the functions to run.
func (p *polling) selected(names []string) (*stack.File, []stack.Function, error) {
	file, err := p.template.load()
	if err != nil {
		return nil, nil, err
	}
	functions, err := file.Select(names...)
	if err != nil {
		return nil, nil, err
	}
	functions = p.polled(functions)
	p.template.tellNotes(file, functions)
	if len(functions) == 0 {
		return nil, nil, &hinted{
			err: fmt.Errorf("%s: no function to run has an event source of Kafka that is enabled", file.Path), code: exitNothing,
			try: "millrace invoke FUNCTION -e event.json calls one with an event",
		}
	}
	if p.debug == "" {
		return file, functions, nil
	}
	debug, err := file.Select(p.debug)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(functions, func(f stack.Function) bool { return f.LogicalID == debug[0].LogicalID }) {
		return nil, nil, &usageError{fmt.Errorf("--debug %s is not among the functions that run", p.debug)}
	}
	p.debug = debug[0].LogicalID
	return file, functions, nil
}

// polled are the functions that something is polled for.
func (p *polling) polled(functions []stack.Function) []stack.Function {
	return slices.DeleteFunc(functions, func(f stack.Function) bool {
		switch {
		case len(f.Enabled()) == 0:
			fmt.Fprintf(p.stderr, "Note: %s has no event source of Kafka that is enabled: it is left out\n", f.Label)
			return true
		case f.ReservedConcurrency == 0:
			fmt.Fprintf(p.stderr, "Note: %s has a reserved concurrency of 0: AWS would not call it, it is left out\n", f.Label)
			return true
		}
		return false
	})
}

// onCluster is lookup with the brokers that are polled.
func onCluster(lookup function.Lookup, kafka kafkaclient.Config) function.Lookup {
	return func(key string) (string, bool) {
		if key == "KAFKA_BROKERS" {
			return joined(kafka.Brokers), true
		}
		return lookup(key)
	}
}

// answer says in a few words what an event of a mapping is about; nothing where nobody has to know.
func answer(m *template.Mapping, e *trigger.Event) string {
	again := ""
	if e.Delay > 0 {
		again = ", again in " + brief(e.Delay)
	}
	switch e.Kind {
	case trigger.Answered:
		switch {
		case e.Err != nil:
			return "error: " + e.Err.Error()
		case e.Failed > 0:
			return fmt.Sprintf("%d handed back", e.Failed)
		}
		return "done"
	case trigger.Retrying:
		return fmt.Sprintf("call %d failed%s", e.Calls, again)
	case trigger.Bisected:
		return "bisected" + again
	case trigger.Dropped:
		return "dropped: " + e.Condition
	case trigger.Delivered:
		return fmt.Sprintf("given up, sent to %s: %s", m.OnFailure, cmp.Or(e.Condition, "failed"))
	case trigger.Filtered:
		return "filtered out"
	case trigger.Sent, trigger.Committed:
	}
	return ""
}
