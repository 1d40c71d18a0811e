// Command bench measures millrace beside what a Go team would use without it: sarama alone, the client and the codec of
// the CloudEvents SDK, and Watermill. It is a module of its own, so that users of millrace do not inherit these.
//
// README.md tells what is measured and how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
)

// names are the figures, in the order in which they are measured.
var names = []string{"decode", "encode", "consume", "produce"}

func main() {
	if slices.Equal(os.Args[1:], []string{brokerArgument}) {
		os.Exit(serveBroker(os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	// After the first signal the next one ends the process.
	context.AfterFunc(ctx, stop)
	s, err := parse(os.Args[1:], os.Getenv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, s, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the command line asks for.
type settings struct {
	only    []string
	rounds  int
	records int
	brokers []string
	json    bool
	profile string
}

func parse(args []string, getenv func(string) string, usage io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	only := flags.String("only", strings.Join(names, ","), "`figures` to measure, joined by commas")
	brokers := flags.String("kafka", getenv("MILLRACE_TEST_KAFKA"), "`host:port` of a cluster, several joined by commas; "+
		"without it, and without MILLRACE_TEST_KAFKA, an embedded broker in a process of its own")
	flags.IntVar(&s.rounds, "rounds", 5, "how often each peer is measured, in turn; medians are shown")
	flags.IntVar(&s.records, "records", 500_000, "events that are consumed; two fifths as many are produced")
	flags.BoolVar(&s.json, "json", false, "print JSON with the values of every round, in place of tables")
	flags.StringVar(&s.profile, "profile", "", "write a CPU profile to `file`; the tag peer tells whose code ran")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	s.only = strings.Split(*only, ",")
	if *brokers != "" {
		s.brokers = strings.Split(*brokers, ",")
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown arguments %q: --help lists the flags", flags.Args())
	}
	return &s, s.validate()
}

func (s *settings) validate() error {
	for _, name := range s.only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--only names %q, must be some of %s", name, strings.Join(names, ","))
		}
	}
	if s.rounds < 1 || s.rounds > 1000 {
		return fmt.Errorf("--rounds is %d, must be 1 to 1000", s.rounds)
	}
	if s.records < 1000 || s.records > 100_000_000 {
		return fmt.Errorf("--records is %d, must be 1000 to 100000000", s.records)
	}
	return nil
}

// run measures what s asks for and prints it to stdout; progress goes to stderr.
func run(ctx context.Context, s *settings, stdout, stderr io.Writer) (err error) {
	c := &cluster{brokers: s.brokers}
	defer func() { err = errors.Join(err, c.close()) }()
	if s.profile != "" {
		stop, err := profile(s.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	var results []result
	for _, name := range names {
		if !slices.Contains(s.only, name) {
			continue
		}
		r, err := measure(ctx, name, s, c, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, r)
	}
	if s.json {
		return printJSON(stdout, s, results)
	}
	return printText(stdout, s, results)
}

func measure(ctx context.Context, name string, s *settings, c *cluster, progress io.Writer) (result, error) {
	var (
		f   figure
		err error
	)
	switch name {
	case "decode":
		f, err = decoding()
	case "encode":
		f = encoding()
	case "consume":
		f, err = consuming(ctx, c, s.records)
	case "produce":
		f, err = producing(c, s.records*2/5)
	}
	if err != nil {
		return result{}, err
	}
	return f.run(ctx, s.rounds, progress)
}

func profile(name string) (stop func(), err error) {
	file, err := os.Create(name) //nolint:gosec // the caller of the program names the file
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}
