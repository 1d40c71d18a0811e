package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// publish is the command that publishes.
type publish struct {
	*app

	kafka      kafkaFlag
	topic      string
	noValidate bool
	keepGoing  bool
	json       bool
	raw        bool
	key        string
	keyed      bool // --key was given; it may be empty, which is not null
	headers    []string
}

func (a *app) publishCommand() *cobra.Command {
	p := &publish{app: a}
	cmd := &cobra.Command{
		Use:   "publish [FILE|-]",
		Short: "Publish events from a file or from standard input",
		Long: "Publish CloudEvents in JSON, or the JSON envelope, each to the topic of its type: one, several after each other,\n" +
			"one per line, or an array of them. CloudEvents are written in binary mode, envelopes as they are. The record's key\n" +
			"is the partitionkey, else the subject (of an envelope: its aggregateId).\n\n" +
			"Everything is checked first, the data against the schema of its type: if something is wrong, nothing is sent.\n" +
			"An input may have 64 MiB, an event 1 MiB.",
		Example: "  millrace publish order.json\n" +
			"  cat orders.ndjson | millrace publish --keep-going\n" +
			"  millrace publish --topic audit-events event.json\n" +
			"  printf garbage | millrace publish --raw --topic order-events --key order-1 --header trace=abc",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.keyed = cmd.Flags().Changed("key")
			return p.run(cmd.Context(), args)
		},
	}
	p.kafka.register(cmd.Flags())
	cmd.Flags().StringVar(&p.topic, "topic", "", "publish there (default: the topic of each event's type)")
	cmd.Flags().BoolVar(&p.noValidate, "no-validate", false, "do not check data against the schema of its type")
	cmd.Flags().BoolVar(&p.keepGoing, "keep-going", false, "publish what is right although something else is wrong")
	cmd.Flags().BoolVar(&p.json, "json", false, "print a JSON object per event and line")
	cmd.Flags().BoolVar(&p.raw, "raw", false, "publish the input as it is, as the value of one record; needs --topic")
	cmd.Flags().StringVar(&p.key, "key", "", "with --raw: the record's key (default: null)")
	cmd.Flags().StringArrayVar(&p.headers, "header", nil, "with --raw: a header name=value of the record; may be repeated")
	return cmd
}

func (p *publish) check() error {
	switch {
	case p.raw && p.topic == "":
		return errors.New("--raw needs --topic: bytes do not tell where they belong")
	case !p.raw && (p.keyed || len(p.headers) > 0):
		return errors.New("--key and --header are for --raw: an event brings its own")
	}
	for _, h := range p.headers {
		if name, _, found := strings.Cut(h, "="); !found || name == "" {
			return fmt.Errorf("--header is %q, must be name=value", h)
		}
	}
	return nil
}

func (p *publish) run(ctx context.Context, args []string) error {
	if err := p.check(); err != nil {
		return &usageError{err}
	}
	name, input, err := p.readInput(ctx, args)
	if err != nil {
		return err
	}
	n := &publication{publish: p, name: name}
	if p.raw {
		return n.sendRaw(ctx, input)
	}
	if err := n.inspect(input); err != nil {
		return err
	}
	return n.send(ctx, input)
}
