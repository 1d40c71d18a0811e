package main

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// screen is what a command prints while it runs.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// running is a millrace dev.
type running struct {
	stdout, stderr screen
	interrupt      context.CancelFunc
	ended          chan int
}

// anywhere are the flags that let every part listen on a free port.
var anywhere = []string{"dev", "--kafka-port", "0", "--smtp-port", "0", "--webhook-port", "0", "--payment-port", "0", "--api-addr", "127.0.0.1:0", "--http-addr", "off"}

// dev starts millrace dev on free ports. It ends with the test.
func startDev(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{ended: make(chan int, 1)}
	r.begin(append(append([]string(nil), anywhere...), args...))
	t.Cleanup(func() {
		r.interrupt()
		<-r.ended
		if t.Failed() {
			t.Logf("millrace dev said:\n%s\n%s", &r.stdout, &r.stderr)
		}
	})
	return r
}

func (r *running) begin(args []string) {
	var ctx context.Context
	ctx, r.interrupt = context.WithCancel(context.Background())
	go func() { r.ended <- run(ctx, args, strings.NewReader(""), &r.stdout, &r.stderr) }()
}

// leave ends it as Ctrl-C does, and checks that it goes in time.
func (r *running) leave(t *testing.T) {
	t.Helper()
	begin := time.Now()
	r.interrupt()
	code := <-r.ended
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ending took %s", took)
	}
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	r.ended <- code
}

var kafkaRow = regexp.MustCompile(`(?m)^  Kafka +(\S+)`)

// kafka waits for the banner and returns the address of the broker.
func (r *running) kafka(t *testing.T) string {
	t.Helper()
	var found []string
	runtimetest.Eventually(t, "the banner", func() bool {
		select {
		case code := <-r.ended:
			r.ended <- code
			t.Fatalf("it ended with %d", code)
		default:
		}
		found = kafkaRow.FindStringSubmatch(r.stdout.String())
		return found != nil
	})
	return found[1]
}

var delivered = regexp.MustCompile(`(?m)^\S+  (\S+)  mail .* notification-requested  delivered \S+ m?s after OrderCreated: Your order (\S+)`)

func TestDevShowsTheChainOfASampleOrder(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	r := startDev(t, "--demo")
	var mail []string
	runtimetest.Eventually(t, "the first mail", func() bool {
		mail = delivered.FindStringSubmatch(r.stdout.String())
		return mail != nil
	})
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the first mail came after %s", took)
	}
	r.leave(t)
	shown := r.stdout.String()
	for _, want := range []string{
		"in memory", "Mail ", "Webhooks ", "in 8 consumer groups", "export KAFKA_BROKERS=127.0.0.1:", "TIME ", "Ending",
		mail[1] + "  OrderCreated ", mail[1] + "  NotificationRequested ",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("nothing shown has %q", want)
		}
	}
	if strings.Contains(shown, "\x1b") {
		t.Error("colours without a terminal")
	}
	if r.stderr.String() != "" {
		t.Errorf("on standard error: %s", &r.stderr)
	}
}

const envelope = `{"eventId":"e-1","eventType":"OrderCreated","aggregateId":"order-1","data":{"orderId":"order-1","customerId":"customer-7","amount":1}}`

func TestDevInJSON(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--json")
	var begun struct {
		Kind  string   `json:"kind"`
		Kafka []string `json:"kafka"`
	}
	runtimetest.Eventually(t, "the first line", func() bool { return strings.Contains(r.stdout.String(), "\n") })
	first, _, _ := strings.Cut(r.stdout.String(), "\n")
	if err := json.Unmarshal([]byte(first), &begun); err != nil || begun.Kind != "started" || len(begun.Kafka) != 1 {
		t.Fatalf("the first line is %s: %v", first, err)
	}
	send(t, begun.Kafka[0], envelope)
	runtimetest.Eventually(t, "a mail", func() bool { return strings.Contains(r.stdout.String(), `"kind":"mail"`) })
	r.leave(t)
	for line := range strings.SplitSeq(strings.TrimSpace(r.stdout.String()), "\n") {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil || object["kind"] == nil {
			t.Errorf("line %s: %v", line, err)
		}
	}
}

func send(t *testing.T, addr, value string) {
	t.Helper()
	client, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	record := &kgo.Record{Topic: "order-events", Key: []byte("order-1"), Value: []byte(value)}
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestDevKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startDev(t, "--data", dir)
	send(t, first.kafka(t), envelope)
	runtimetest.Eventually(t, "the mail", func() bool { return strings.Contains(first.stdout.String(), "delivered") })
	first.leave(t)

	again := startDev(t, "--data", dir)
	addr := again.kafka(t)
	client, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	spans, err := client.Offsets(t.Context(), "order-events")
	if err != nil {
		t.Fatal(err)
	}
	var records int64
	for _, span := range spans["order-events"] {
		records += span.End
	}
	if records == 0 {
		t.Error("no record is kept")
	}
	again.leave(t)
	if shown := again.stdout.String(); strings.Contains(shown, " order-created ") || !strings.Contains(shown, "kept in "+dir) {
		t.Errorf("the finished order was handled again, or the banner does not name the folder:\n%s", shown)
	}
}

func TestDevOnARealCluster(t *testing.T) {
	t.Parallel()
	kafka := runtimetest.Kafka(t, nil)
	r := startDevOn(t, strings.Join(kafka.Addrs, ","))
	if got := r.kafka(t); got != strings.Join(kafka.Addrs, ",") {
		t.Errorf("it runs on %s, want %v", got, kafka.Addrs)
	}
	r.leave(t)
}

// startDevOn is startDev without the flag that is about the embedded Kafka.
func startDevOn(t *testing.T, addr string) *running {
	t.Helper()
	r := &running{ended: make(chan int, 1)}
	r.begin(append([]string{"dev", "--kafka", addr}, anywhere[3:]...))
	t.Cleanup(func() { r.interrupt(); <-r.ended })
	return r
}

func TestDevSaysWhatKeepsItFromStarting(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	addr := taken.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	owner, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() })
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"Kafka's port":        {[]string{"--kafka-port", port}, 1, []string{addr, "in use", "Try: ", "--kafka-port", "--kafka " + addr}},
		"the port of mail":    {[]string{"--smtp-port", port}, 1, []string{addr, "in use", "Try: ", "--smtp-port"}},
		"the webhook's port":  {[]string{"--webhook-port", port}, 1, []string{addr, "in use", "Try: ", "--webhook-port"}},
		"the port of health":  {[]string{"--http-addr", addr}, 1, []string{addr, "in use", "Try: ", "--http-addr"}},
		"the folder":          {[]string{"--data", dir}, 1, []string{dir, "in use", "Try: ", "--data"}},
		"an address for HTTP": {[]string{"--http-addr", "here"}, 2, []string{"HTTP_ADDR"}},
		"an argument":         {[]string{"now"}, 2, []string{"now", "Try: "}},
		"a port that is none": {[]string{"--kafka-port", "65536"}, 2, []string{"--kafka-port", "Try: "}},
		"an unknown flag":     {[]string{"--fast"}, 2, []string{"--fast", "Try: "}},
		"two clusters":        {[]string{"--kafka", addr}, 2, []string{"--kafka-port", "--kafka", "Try: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startDev(t, test.args...)
			if code := <-r.ended; code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			r.ended <- test.code
			for _, want := range test.want {
				if !strings.Contains(r.stderr.String(), want) {
					t.Errorf("%q does not say %q", &r.stderr, want)
				}
			}
			if r.stdout.String() != "" {
				t.Errorf("on standard output: %s", &r.stdout)
			}
		})
	}
}

func TestDevWithoutItsClusterEndsSoon(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	r := startDevOn(t, "127.0.0.1:1")
	if code := <-r.ended; code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
	r.ended <- 5
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := r.stderr.String(); !strings.Contains(got, "127.0.0.1:1") || !strings.Contains(got, "connection refused") {
		t.Errorf("it said %s", got)
	}
}
