package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/localdev/loadtest"
	"github.com/millrace/millrace/localdev/text"
)

// load is the command that measures.
type load struct {
	*app
	loadtest.Options

	kafka kafkaFlag
	json  bool
}

func (a *app) loadCommand() *cobra.Command {
	l := &load{app: a}
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Send many orders and measure how soon they are answered",
		Long: "Send orders to order-events in batches, then wait until each has led to a request on notification-events, and print\n" +
			"how long that took. Orders of different runs have different ids. It fails when notifications are missing.",
		Example: "  millrace load\n" +
			"  millrace load --count 100000 --batch 500 --concurrency 4\n" +
			"  millrace load --count 6000 --rate 100 --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	l.kafka.register(cmd.Flags())
	cmd.Flags().IntVar(&l.Count, "count", 10_000, "how many orders")
	cmd.Flags().IntVar(&l.Batch, "batch", 100, "how many orders are sent together")
	cmd.Flags().Float64Var(&l.Rate, "rate", 0, "orders per second at most (default: no limit)")
	cmd.Flags().IntVar(&l.Concurrency, "concurrency", 1, "how many batches may be on their way at once")
	cmd.Flags().IntVar(&l.Customers, "customers", 1000, "among how many customers the orders are spread")
	cmd.Flags().DurationVar(&l.Timeout, "timeout", time.Minute, "how long to wait for the functions after the last order")
	cmd.Flags().BoolVar(&l.NoWait, "no-wait", false, "do not wait for the functions")
	cmd.Flags().BoolVar(&l.json, "json", false, "print the result as a JSON object")
	return cmd
}

func (l *load) run(ctx context.Context) error {
	if err := l.validate(); err != nil {
		return &usageError{err}
	}
	kafka, err := l.kafka.config(l.lookup)
	if err != nil {
		return err
	}
	if !l.json {
		fmt.Fprintln(l.stdout, "Starting Kafka load test...")
		l.Progress = func(sent int) { fmt.Fprintf(l.stdout, "Sent %d messages...\n", sent) }
		l.Waiting = func(r loadtest.Result) {
			l.printSent(r)
			fmt.Fprintln(l.stdout, "Waiting for the functions...")
		}
	}
	r, err := loadtest.Run(ctx, kafka, &l.Options)
	if err != nil {
		return fmt.Errorf("load test: %w", err)
	}
	if err := l.print(r); err != nil {
		return err
	}
	if r.Missing > 0 {
		return &hinted{
			err: fmt.Errorf("%d of %d orders led to no notification within %s", r.Missing, r.Sent, l.Timeout),
			try: "millrace dev runs the functions; millrace tail dead-letter-queue --from start --follow=false shows what they gave up",
		}
	}
	return nil
}

// validate refuses a zero that was asked for: to the load test it would mean the default.
func (l *load) validate() error {
	for name, value := range map[string]int{"count": l.Count, "batch": l.Batch, "concurrency": l.Concurrency, "customers": l.Customers} {
		if value == 0 {
			return fmt.Errorf("%s is 0, must be 1 or more", name)
		}
	}
	return l.Validate()
}

func (l *load) printSent(r loadtest.Result) {
	fmt.Fprintf(l.stdout, "Load test completed!\nTotal messages: %d\nDuration: %dms\nMessages per second: %.0f\n",
		r.Sent, r.Took.Milliseconds(), r.PerSecond())
}

type loadJSON struct {
	Run               string  `json:"run"`
	Messages          int     `json:"messages"`
	DurationMs        int64   `json:"durationMs"`
	MessagesPerSecond float64 `json:"messagesPerSecond"`
	// Answers is null with --no-wait.
	Answers *answersJSON `json:"answers"`
}

type answersJSON struct {
	Matched    int     `json:"matched"`
	Missing    int     `json:"missing"`
	Duplicates int     `json:"duplicates"`
	Extra      int     `json:"extra"`
	P50        float64 `json:"p50Ms"`
	P95        float64 `json:"p95Ms"`
	P99        float64 `json:"p99Ms"`
}

func (l *load) print(r loadtest.Result) error {
	switch {
	case l.json:
		return l.printJSON(r)
	case l.NoWait:
		l.printSent(r)
		return nil
	}
	fmt.Fprintf(l.stdout, "Notifications: %d of %d (%d missing, %d duplicates, %d extra)\n",
		r.Matched, r.Sent, r.Missing, r.Duplicates, r.Extra)
	if r.Matched > 0 {
		fmt.Fprintf(l.stdout, "End to end: p50 %s, p95 %s, p99 %s\n", rounded(r.P50), rounded(r.P95), rounded(r.P99))
	}
	return nil
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func (l *load) printJSON(r loadtest.Result) error {
	out := loadJSON{Run: r.Run, Messages: r.Sent, DurationMs: r.Took.Milliseconds(), MessagesPerSecond: r.PerSecond()}
	if !l.NoWait {
		out.Answers = &answersJSON{
			Matched: r.Matched, Missing: r.Missing, Duplicates: r.Duplicates, Extra: r.Extra,
			P50: milliseconds(r.P50), P95: milliseconds(r.P95), P99: milliseconds(r.P99),
		}
	}
	line, err := text.AppendJSONLine(nil, out)
	if err != nil {
		return err
	}
	_, err = l.stdout.Write(line)
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
