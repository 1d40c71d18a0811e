package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/demo"
	"github.com/millrace/millrace/localdev/live"
	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/runtime/pipeline"
)

// dev is the command that runs everything.
type dev struct {
	*app

	demo, json bool
	data       string
	kafka      string
	kafkaPort  uint16
	smtpPort   uint16
	webhook    uint16
	payments   uint16
	apiAddr    string
	httpAddr   string
	door       string
	lambda     behindLambda

	view *live.View
}

func (a *app) devCommand() *cobra.Command {
	d := &dev{app: a, lambda: behindLambda{flags: templateFlags{app: a}}}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run Kafka, all functions, the shop's API, and catchers of mail and webhooks on this machine",
		Long: `Run Kafka, all functions, the shop's API, and catchers of mail and webhooks on this machine, and show what happens.

The functions read the same variables as in production (RETRY_FIRST_DELAY, WORKERS, …). With SMTP_ADDR or
NOTIFY_WEBHOOK_URL set they deliver there, and nothing is caught. With DATABASE_URL set (and DATABASE=postgres) the shop
keeps everything there; else each service has a SQLite file of its own. Payments are simulated unless PAYMENT_PROVIDER_URL is
set. This has the provider fail (down, declining, hanging or losing; up again):

  curl -X PUT -H 'Content-Type: application/json' -d '{"state":"down"}' 127.0.0.1:1082/mode

LOG_LEVEL shows the runtime's own log on standard error.

With --door lambda the functions' programs run as they are deployed, each behind an emulated MSK trigger as template.yaml
describes it; they are built first. Groups, starting positions and batches are then those of the template, where each
function is a group of its own: on kept data they begin anew. Health and metrics are not served. millrace trigger runs
some of the functions in this way, on any Kafka.

Ctrl-C ends it: what runs may finish (3 s, or DRAIN_TIMEOUT), what finished is committed. A second Ctrl-C kills.`,
		Example: `  millrace dev --demo                        with a trickle of sample orders, users and products
  millrace dev --data .data                  topics, records, groups and orders are there again next time
  millrace dev --kafka kafka.example:9092    on a real cluster
  millrace dev --door lambda                 each function's program behind an emulated MSK trigger
  millrace dev --json | jq .outcome          for programs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&d.demo, "demo", false, "send sample events, two in a second")
	flags.BoolVar(&d.json, "json", false, "print one JSON object for each line")
	flags.StringVar(&d.data, "data", "", "folder in which the embedded Kafka and the shop keep their data (default none: all is gone at the end)")
	flags.StringVar(&d.kafka, "kafka", "", "brokers of a real cluster to run on, HOST:PORT joined by commas (default an embedded one)")
	flags.Uint16Var(&d.kafkaPort, "kafka-port", broker.DefaultPort, "port of the embedded Kafka; 0 takes a free one, as everywhere")
	flags.Uint16Var(&d.smtpPort, "smtp-port", 1025, "port on which mail is caught")
	flags.Uint16Var(&d.webhook, "webhook-port", 1081, "port on which webhooks are caught")
	flags.Uint16Var(&d.payments, "payment-port", 1082, "port on which the payment provider is simulated")
	flags.StringVar(&d.apiAddr, "api-addr", "", "HOST:PORT of the shop's API, or off (default $API_ADDR, or 127.0.0.1:8080)")
	flags.StringVar(&d.httpAddr, "http-addr", "", "HOST:PORT of health and metrics, or off (default $HTTP_ADDR, or 127.0.0.1:9464)")
	flags.StringVar(&d.door, "door", groupDoor, "group: in consumer groups of this process; lambda: behind emulated MSK triggers")
	d.lambda.register(flags)
	return cmd
}

func (d *dev) run(cmd *cobra.Command) error {
	if d.kafka != "" && cmd.Flags().Changed("kafka-port") {
		return &usageError{errors.New("--kafka-port is about the embedded Kafka, and --kafka asks for a real one")}
	}
	if err := d.checkDoor(cmd.Flags()); err != nil {
		return err
	}
	d.view = live.New(d.stdout, &live.Options{Functions: catalog.Functions(), Color: d.colors(), JSON: d.json})
	stop := context.AfterFunc(cmd.Context(), d.ending)
	defer stop()
	return d.hint(d.runAll(cmd.Context()))
}

// runAll runs the system and shows it. The view ends last, so that it shows everything.
func (d *dev) runAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	showing, stop := context.WithCancel(context.WithoutCancel(ctx))
	shown := make(chan error, 1)
	go func() {
		shown <- d.view.Run(showing)
		cancel() // nobody watches any more
	}()
	system, ctx := errgroup.WithContext(ctx)
	system.Go(func() error {
		return runner.Run(ctx, d.options(func(s runner.System) {
			d.started(s)
			if d.demo {
				system.Go(func() error { return d.sample(ctx, s) })
			}
		}))
	})
	err := system.Wait()
	stop()
	return errors.Join(err, <-shown)
}

func (d *dev) options(started func(runner.System)) *runner.Options {
	return &runner.Options{
		Kafka:       d.kafka,
		KafkaPort:   portOrAny(d.kafkaPort),
		Data:        d.data,
		SMTPAddr:    loopback(d.smtpPort),
		WebhookAddr: loopback(d.webhook),
		PaymentAddr: loopback(d.payments),
		APIAddr:     d.apiAddr,
		HTTPAddr:    d.httpAddr,
		Lookup:      d.lookup,
		Observers:   []pipeline.Observer{d.view},
		Mail:        d.view.Mail,
		Webhook:     d.view.Webhook,
		Serve:       d.serve(),
		Started:     started,
		Log:         d.log(isOutcome),
	}
}

func portOrAny(port uint16) int {
	if port == 0 {
		return broker.AnyPort
	}
	return int(port)
}

func loopback(port uint16) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }

// sample sends sample events until ctx ends.
func (d *dev) sample(ctx context.Context, s runner.System) error {
	client, err := cluster.Connect(ctx, s.Kafka)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer client.Close()
	return demo.Run(ctx, client, demo.NewShop(uint64(time.Now().UnixNano())), s.URL())
}

// colors tells whether to use colours: on a terminal, unless NO_COLOR is set (https://no-color.org).
func (d *dev) colors() bool {
	terminal, ok := d.stdout.(*os.File)
	if no, _ := d.lookup("NO_COLOR"); no != "" || !ok || d.json {
		return false
	}
	kind, _ := d.lookup("TERM")
	return isatty.IsTerminal(terminal.Fd()) && kind != "dumb"
}

// hint adds to an error what to do about it.
func (d *dev) hint(err error) error {
	var address *runner.AddressInUseError
	var data *broker.DataInUseError
	switch {
	case errors.As(err, &address):
		return &hinted{err: address, try: otherAddress(address.Part, d.kafkaPort)}
	case errors.As(err, &data):
		return &hinted{err: err, try: "end the other process, or name another folder: millrace dev --data DIR"}
	}
	return err
}

func otherAddress(part runner.Part, kafkaPort uint16) string {
	switch part {
	case runner.PartKafka:
		return fmt.Sprintf("millrace dev --kafka-port %d, or millrace dev --kafka %s to use the Kafka that runs there",
			kafkaPort+1000, loopback(kafkaPort))
	case runner.PartSMTP:
		return "millrace dev --smtp-port 2025"
	case runner.PartWebhook:
		return "millrace dev --webhook-port 2081"
	case runner.PartPayments:
		return "millrace dev --payment-port 2082"
	case runner.PartAPI:
		return "millrace dev --api-addr 127.0.0.1:8081, or --api-addr off"
	case runner.PartHTTP:
		return "millrace dev --http-addr 127.0.0.1:9465, or --http-addr off"
	}
	return ""
}
