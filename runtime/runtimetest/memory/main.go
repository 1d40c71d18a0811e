// Command memory measures how much memory a function's process takes, and fails where that is more than it may: before a
// backlog of a million records with a handler of 50 ms, and before record batches that decompress to a thousand times
// their size.
//
//	go run ./runtime/runtimetest/memory
//
// It prints a line for each, with the most megabytes that the process has occupied. The process is one of its own, which
// runs a function at default settings as [boot.Command] does, and is looked at from outside: what it commits, its dead
// letters, its readiness. When it is told to stop, no goroutine may be left. The broker is an embedded one, in another
// process, or the one that MILLRACE_TEST_KAFKA names. It needs Linux, which tells the memory of a process in /proc.
//
// It imports boot, rawbatch, the embedded broker and its client; nothing imports it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest/rawbatch"
)

// limit is the most memory that a function may take, in bytes.
const limit = 200e6

// The first arguments that make this program one of the processes that it starts.
const (
	brokerProcess   = "embedded-broker"
	functionProcess = "function"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case brokerProcess:
			return serveBroker(stdin, stdout, stderr)
		case functionProcess:
			return serveFunction(ctx, args[1:], stdout, stderr)
		}
	}
	flags := flag.NewFlagSet("memory", flag.ContinueOnError)
	flags.SetOutput(stderr)
	backlog := flags.Int("backlog", 1_000_000, "records of the backlog")
	patience := flags.Duration("time", 30*time.Second, "how long the function works on the backlog")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := measure(ctx, *backlog, *patience, stdout); err != nil {
		fmt.Fprintln(stderr, "memory:", err)
		return 1
	}
	return 0
}

// measure runs every case, also after one that failed.
func measure(ctx context.Context, backlog int, patience time.Duration, stdout io.Writer) error {
	k, err := openCluster(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	report := func(name string, peak int64, err error) error {
		if err == nil && peak > limit {
			err = fmt.Errorf("%d MB are more than %d MB", peak/1e6, int64(limit/1e6))
		}
		if err != nil {
			fmt.Fprintf(stdout, "MEMORY %s %d FAILED\n", name, peak/1e6)
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(stdout, "MEMORY %s %d\n", name, peak/1e6)
		return nil
	}
	peak, err := k.backlog(ctx, backlog, patience)
	problems := []error{report("backlog", peak, err)}
	for _, codec := range rawbatch.Codecs {
		peak, err := k.bomb(ctx, codec)
		problems = append(problems, report("bomb "+codec.String(), peak, err))
	}
	return errors.Join(problems...)
}
