package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// app is what the commands share: the process, as tests can replace it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	lookup         function.Lookup
}

// run is main without the process: it returns the exit code. ctx ends with the first signal.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, lookup: os.LookupEnv}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	return a.exit(ctx, root.ExecuteContext(ctx))
}

func (a *app) rootCommand() *cobra.Command {
	const what = "Run functions on Kafka events: the whole system on a laptop, and tools for any cluster"
	root := &cobra.Command{
		Use:   "millrace",
		Short: what,
		Long:  what + ".\n\n" + exitCodes,
		Example: "  millrace dev --demo\n  millrace publish order.json\n  millrace tail notification-events\n  millrace trigger order-created\n" +
			"  millrace invoke order-created -e functions/order-created/testdata/msk.json",
		Args: cobra.NoArgs,
		// Without a command there is nothing to do but to say what there is.
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		a.devCommand(), a.publishCommand(), a.tailCommand(), a.topicsCommand(), a.loadCommand(),
		a.triggerCommand(), a.invokeCommand(), a.projectionsCommand(), a.versionCommand(),
	)
	usageErrors(root)
	return root
}

// kafkaFlag names the cluster that a command speaks to.
type kafkaFlag struct{ brokers string }

func (f *kafkaFlag) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.brokers, "kafka", "", "brokers of the cluster, HOST:PORT joined by commas (default $KAFKA_BROKERS, or 127.0.0.1:9092)")
}

// config returns how to reach the cluster: by the flag, and for the rest by the variables that the functions read
// (KAFKA_BROKERS, KAFKA_TLS, …).
func (f *kafkaFlag) config(lookup function.Lookup) (kafkaclient.Config, error) {
	var c kafkaclient.Config
	err := config.Load(func(key string) (string, bool) {
		if key == "KAFKA_BROKERS" && f.brokers != "" {
			return f.brokers, true
		}
		return lookup(key)
	}, &c)
	return c, err
}
