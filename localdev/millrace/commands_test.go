package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/broker"
)

func TestMain(m *testing.M) {
	// A dependency of sarama ticks for ever, once for the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// kafka starts an embedded broker with the project's topics and returns its address.
func kafka(t *testing.T) string {
	t.Helper()
	b, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.Addr()
}

// pipe runs a command with an input.
func pipe(t *testing.T, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(input), &out, &problems)
	return code, out.String(), problems.String()
}

// succeed runs a command that has to succeed in silence, and returns what it printed.
func succeed(t *testing.T, input string, args ...string) string {
	t.Helper()
	code, stdout, stderr := pipe(t, input, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("millrace %s: exit code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// session is a command that runs until it is told to end.
type session struct {
	stdout, stderr screen
	interrupt      context.CancelFunc
	code           chan int
}

func begin(t *testing.T, stdin io.Reader, args ...string) *session {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{interrupt: cancel, code: make(chan int, 1)}
	go func() { s.code <- run(ctx, args, stdin, &s.stdout, &s.stderr) }()
	return s
}

// end waits for the exit code.
func (s *session) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-s.code:
		return code
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end; it said %s%s", &s.stdout, &s.stderr)
		return 0
	}
}

// until waits for a text that is printed.
func until(t *testing.T, s *screen, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.String(), want) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited for %q, got %q", want, s)
		}
	}
}

// deaf is an address where somebody listens and says nothing.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// Every command that needs a broker says within 5 s where it looked, why it found none, and what to do.
func TestNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{
		{"topics"}, {"tail", "order-events"}, {"publish"}, {"load", "--count", "1"}, {"trigger"},
		{"invoke", "order-created", "-e", "-"},
	} {
		for name, test := range map[string]struct{ addr, want string }{
			"nobody listens": {"127.0.0.1:1", "connection refused"},
			"nobody answers": {deaf(t), "no answer within"},
		} {
			t.Run(command[0]+" "+name, func(t *testing.T) {
				t.Parallel()
				start := time.Now()
				code, stdout, stderr := pipe(t, orderEnvelope("1"), append(command, "--kafka", test.addr)...)
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
				if strings.Contains(stdout, "Sent") || code != exitUnreachable {
					t.Errorf("exit code %d, printed %s", code, stdout)
				}
				for _, want := range []string{test.addr, test.want, "\nTry: millrace dev"} {
					if !strings.Contains(stderr, want) {
						t.Errorf("%q does not say %q", stderr, want)
					}
				}
			})
		}
	}
}

func TestUnknownTopics(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	for name, args := range map[string][]string{
		"tail":    {"tail", "order-event"},
		"publish": {"publish", "--topic", "order-event"},
		"raw":     {"publish", "--topic", "order-event", "--raw"},
	} {
		code, stdout, stderr := pipe(t, orderEnvelope("1"), append(args, "--kafka", addr)...)
		want := "millrace: the cluster has no topic \"order-event\"\nTry: one of the closest, order-events, "
		if code != exitFailed || stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"unknown flag: --fast":                   {"topics", "--fast"},
		"accepts 1 arg(s), received 0":           {"tail"},
		"accepts at most 1 arg(s), received 2":   {"publish", "a", "b"},
		`--from is "middle"`:                     {"tail", "t", "--from", "middle"},
		`--from is "5"`:                          {"tail", "t", "--from", "5"},
		`--from is "-9223372036854775808"`:       {"tail", "t", "--from", "-9223372036854775808"},
		"--count is -1":                          {"tail", "t", "--count", "-1"},
		"--json and --raw":                       {"tail", "t", "--json", "--raw"},
		"--raw needs --topic":                    {"publish", "--raw"},
		"--key and --header are for --raw":       {"publish", "--key", "k"},
		`--header is "a"`:                        {"publish", "--raw", "--topic", "t", "--header", "a"},
		"count is 0":                             {"load", "--count", "0"},
		"batch is 10001, must be 1 to 10000":     {"load", "--batch", "10001"},
		"rate is -1":                             {"load", "--rate", "-1"},
		"concurrency is 65, must be 1 to 64":     {"load", "--concurrency", "65"},
		`invalid argument "x"`:                   {"load", "--count", "x"},
		"timeout is 1ns, must be 1ms to 24h0m0s": {"load", "--timeout", "1ns"},
		"customers is 0, must be 1 or more":      {"load", "--customers", "0"},
		"rate is NaN":                            {"load", "--rate", "NaN"},
		`--door is "roof"`:                       {"dev", "--door", "roof"},
		"--template is for --door lambda":        {"dev", "--template", "t.yaml"},
		"--http-addr is for --door group":        {"dev", "--door", "lambda", "--http-addr", "off"},
		`--parameter is "BatchSize"`:             {"trigger", "--parameter", "BatchSize"},
		"--debug order-paid is not among":        {"trigger", "order-created", "--debug", "order-paid"},
		"--event names no file":                  {"invoke", "order-created"},
		"accepts 1 arg(s), received 2":           {"invoke", "a", "b"},
	} {
		code, stdout, stderr := pipe(t, "", args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) || !strings.Contains(stderr, "\nTry: millrace") {
			t.Errorf("millrace %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
	}
}
