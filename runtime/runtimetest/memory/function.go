package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
)

// eventType is of the events that the function takes.
const eventType = "dev.millrace.test.measured.v1"

// serveFunction is the process that is measured: a function of the topic, the group and the time to take that are its
// arguments. When it has been stopped it prints the most memory that it took.
func serveFunction(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	topic, group := args[0], args[1]
	work, err := time.ParseDuration(args[2])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	spec := function.Spec{Name: "measured", Topic: topic, Group: group, New: func(function.Lookup) (function.Handler, error) {
		return function.Raw(func(context.Context, event.Event) ([]event.Event, error) {
			time.Sleep(work)
			return nil, nil
		}, eventType), nil
	}}
	if code := boot.Command(ctx, nil, os.LookupEnv, io.Discard, stderr, []function.Spec{spec}); code != 0 {
		return code
	}
	// sarama's metrics and the signals of this process keep a goroutine each.
	if err := goleak.Find(goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("os/signal.loop"), goleak.IgnoreAnyFunction("os/signal.NotifyContext.func1")); err != nil {
		fmt.Fprintln(stderr, "left after stop:", err)
		return 1
	}
	peak, err := peakMemory()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintln(stdout, peak)
	return 0
}

// peakMemory is the most memory that this process has occupied, in bytes. The answer of getrusage would include the
// process that started this one.
func peakMemory() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	var kibibytes int64
	_, err = fmt.Sscan(string(rest), &kibibytes)
	return kibibytes << 10, err
}

// running is a function's process.
type running struct {
	command *exec.Cmd
	// address is where it tells of its readiness.
	address     string
	output, log bytes.Buffer
}

// start starts the process.
func (k *cluster) start(ctx context.Context, topic, group, letters string, work time.Duration) (*running, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &running{}
	if r.address, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	r.command = exec.Command(self, functionProcess, topic, group, work.String()) //nolint:noctx // it is told to stop, not killed
	r.command.Env = append(os.Environ(), "KAFKA_BROKERS="+strings.Join(k.brokers, ","), "HTTP_ADDR="+r.address,
		"DEAD_LETTER_TOPIC="+letters, "DRAIN_TIMEOUT=5s")
	r.command.Stdout, r.command.Stderr = &r.output, &r.log
	return r, r.command.Start()
}

// freeAddress is one that nobody listened to a moment ago.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// stop stops the process and returns the most memory that it took.
func (r *running) stop() (int64, error) {
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	if err := r.command.Wait(); err != nil {
		return 0, fmt.Errorf("the function: %w\n%s", err, lastLines(r.log.String(), 20))
	}
	var peak int64
	_, err := fmt.Sscan(r.output.String(), &peak)
	return peak, err
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
