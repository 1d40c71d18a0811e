// Command apachekafka runs a command against a fresh Apache Kafka, without a container engine.
//
//	go run ./runtime/runtimetest/apachekafka -- go test ./...
//
// It takes the broker from its Maven artifacts (kept in the user's cache folder for later runs), formats storage in a
// temporary folder, starts one node in KRaft mode on free loopback ports, waits until it answers, and runs the command
// with MILLRACE_TEST_KAFKA set to the broker's address. The command's exit code becomes its own. The broker ends with
// the command, also on Ctrl-C. Without a command it prints the address and keeps the broker until Ctrl-C.
//
// It needs Java 17 or newer and, for the first run, Maven.
//
// The package imports broker and, for the variable's name, runtimetest; nothing imports it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest/apachekafka/broker"
)

// The exit codes beside those of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitSignal and a signal's number are the code of a command that the signal ended, as shells have it.
	exitSignal      = 128
	exitInterrupted = exitSignal + int(syscall.SIGINT)
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line asks for.
type options struct {
	version string
	cache   string
	command []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	code, err := work(ctx, o, stdout, progress{out: stderr})
	if err != nil {
		fmt.Fprintln(stderr, "apachekafka:", err)
	}
	return code
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("apachekafka", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: apachekafka [flags] [--] [command [argument ...]]")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.version, "version", broker.Version, "Apache Kafka's version, 4.1 or newer")
	flags.StringVar(&o.cache, "cache", broker.DefaultCache(), "folder that keeps the broker's libraries for later runs")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.command = flags.Args()
	return o, nil
}

// work runs the command against a broker and returns the exit code to leave with.
func work(ctx context.Context, o options, stdout io.Writer, p progress) (int, error) {
	kafka, err := broker.Start(ctx, &broker.Options{Version: o.version, Cache: o.cache, Progress: p.sayf})
	if err != nil {
		return exitFailed, err
	}
	defer kafka.Close()

	if len(o.command) == 0 {
		fmt.Fprintln(stdout, kafka.Addr())
		return exitOK, kafka.Wait(ctx)
	}
	began := time.Now()
	code, err := execute(ctx, o.command, kafka)
	p.sayf("%s ended with exit code %d after %s", filepath.Base(o.command[0]), code, since(began))
	return code, err
}

// progress tells whoever waits what is going on.
type progress struct{ out io.Writer }

func (p progress) sayf(format string, args ...any) {
	fmt.Fprintf(p.out, "apachekafka: "+format+"\n", args...)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }
