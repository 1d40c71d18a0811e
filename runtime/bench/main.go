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
	"time"
)

func main() {
	if status, done := child(os.Args[1:]); done {
		os.Exit(status)
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

// child does what this program does for itself in processes of their own.
func child(args []string) (status int, done bool) {
	switch {
	case slices.Equal(args, []string{brokerArgument}):
		return serveBroker(os.Stdin, os.Stdout, os.Stderr), true
	case slices.Equal(args, []string{peerArgument}):
		return servePeer(os.Stdin, os.Stdout, os.Stderr), true
	default:
		return 0, false
	}
}

// settings are what the command line asks for.
type settings struct {
	only     []string
	rounds   int
	records  int
	brokers  []string
	embedded bool
	json     bool
	write    string
	profiles string
}

func parse(args []string, getenv func(string) string, usage io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	only := flags.String("only", strings.Join(figures(), ","), "`figures` to measure, joined by commas")
	brokers := flags.String("kafka", getenv("MILLRACE_TEST_KAFKA"), "`host:port` of a Kafka, several joined by commas, which is "+
		"measured beside the embedded broker; default: MILLRACE_TEST_KAFKA, and without it none")
	flags.BoolVar(&s.embedded, "embedded", true, "measure the embedded broker")
	flags.IntVar(&s.rounds, "rounds", 3, "how often each peer is measured, in turn; medians are shown")
	flags.IntVar(&s.records, "records", 400_000, "events that are consumed; in other figures it is a part of them")
	flags.BoolVar(&s.json, "json", false, "print JSON with the values of every round, in place of tables")
	flags.StringVar(&s.write, "write", "", "write the tables to this `file` too, in Markdown")
	flags.StringVar(&s.profiles, "profile", "", "write a CPU profile of each peer's process to this `folder`")
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
		if !slices.Contains(figures(), name) {
			return fmt.Errorf("--only names %q, must be some of %s", name, strings.Join(figures(), ","))
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

// prepare makes what is written to, so that an error comes before minutes of measurements.
func (s *settings) prepare() error {
	if s.profiles != "" {
		if err := os.MkdirAll(s.profiles, 0o755); err != nil { //nolint:gosec // profiles are for all to read
			return fmt.Errorf("--profile: %w", err)
		}
	}
	if s.write != "" {
		file, err := os.OpenFile(s.write, os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // the file is for all to read
		if err != nil {
			return fmt.Errorf("--write: %w", err)
		}
		return file.Close()
	}
	return nil
}

// run measures what s asks for and prints it to stdout; progress goes to stderr.
func run(ctx context.Context, s *settings, stdout, stderr io.Writer) error {
	if err := s.prepare(); err != nil {
		return err
	}
	all := &report{settings: s, machine: machine(), date: time.Now().UTC()}
	codecs := &bench{settings: s, progress: stderr}
	results, err := codecs.measure(ctx, func(name string) bool { return slices.Contains(alone, name) })
	if err != nil {
		return err
	}
	if len(results) > 0 {
		all.add(&section{title: "Without a broker", results: results})
	}
	for _, b := range clusters(s, stderr) {
		section, err := b.onCluster(ctx)
		if err != nil {
			return err
		}
		all.add(section)
	}
	if s.write != "" {
		if err := os.WriteFile(s.write, []byte(all.markdown()), 0o644); err != nil { //nolint:gosec // the file is for all to read
			return err
		}
	}
	if s.json {
		return all.writeJSON(stdout)
	}
	_, err = io.WriteString(stdout, all.text())
	return err
}

// clusters returns what is to be measured where.
func clusters(s *settings, progress io.Writer) []*bench {
	var all []*bench
	if slices.IndexFunc(s.only, func(name string) bool { return !slices.Contains(alone, name) }) < 0 {
		return nil
	}
	if s.embedded {
		all = append(all, &bench{settings: s, cluster: &cluster{}, embedded: true, progress: progress})
	}
	if len(s.brokers) > 0 {
		return append(all, &bench{settings: s, cluster: &cluster{brokers: s.brokers}, progress: progress})
	}
	fmt.Fprintln(progress, "Apache Kafka is skipped: neither --kafka nor MILLRACE_TEST_KAFKA names one")
	return all
}

func profile(name string) (stop func(), err error) {
	file, err := os.Create(name)
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
