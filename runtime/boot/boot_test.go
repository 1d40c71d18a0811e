package boot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	child()
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const (
	inType  = "test.in.v1"
	outType = "test.out.v1"
)

// bundle is a running process of one function that answers each event with another.
type bundle struct {
	*runtimetest.Broker

	in, out, letters string
	addr             string
	environment      map[string]string
	// down: the dependency that subject "mails" needs is unavailable.
	down atomic.Bool
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{Broker: runtimetest.Kafka(t, nil), addr: runtimetest.FreeAddress(t).String()}
	b.in, b.out, b.letters = b.NewTopic(t, 3), b.NewTopic(t, 1), b.NewTopic(t, 1)
	b.environment = map[string]string{
		"KAFKA_BROKERS":     strings.Join(b.Addrs, ","),
		"HTTP_ADDR":         b.addr,
		"DEAD_LETTER_TOPIC": b.letters,
		"COMMIT_INTERVAL":   "20ms",
		"RETRY_FIRST_DELAY": "1ms",
	}
	return b
}

func (b *bundle) lookup(key string) (string, bool) {
	v, ok := b.environment[key]
	return v, ok
}

func (b *bundle) spec(t *testing.T) function.Spec {
	return function.Spec{
		Name:   "answer",
		Topic:  b.in,
		Group:  runtimetest.UniqueName(t),
		Emits:  []string{outType},
		Topics: map[string]string{outType: b.out},
		New: func(function.Lookup) (function.Handler, error) {
			return function.Raw(func(_ context.Context, e event.Event) ([]event.Event, error) {
				switch {
				case e.Subject() == "fails":
					return nil, errors.New("it always fails")
				case e.Subject() == "mails" && b.down.Load():
					return nil, function.Unavailable("smtp", errors.New("connection refused"))
				}
				answer := event.New()
				answer.SetType(outType)
				return []event.Event{answer}, nil
			}, inType), nil
		},
	}
}

// start runs the process until the test ends, and returns when every group has been joined.
func (b *bundle) start(t *testing.T, spec function.Spec) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, b.lookup, []function.Spec{spec}, &boot.Options{
			Log:     slog.New(slog.DiscardHandler),
			Started: func() { close(started) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("Run() = %v", err)
	}
}

func (b *bundle) send(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		b.Produce(t, b.in, &kgo.Record{Key: []byte(id), Value: []byte(`{}`), Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/test")},
			{Key: "ce_type", Value: []byte(inType)}, {Key: "ce_subject", Value: []byte(strings.TrimRight(id, "0123456789"))},
		}})
	}
}

func (b *bundle) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestAnEventBecomesItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := b.spec(t)
	b.start(t, spec)
	b.send(t, "a1", "a2", "a3")
	got := map[string]string{}
	for _, r := range b.Records(t, b.out, 3) {
		got[header(r, "ce_causationid")] = header(r, "ce_id")
	}
	want := map[string]string{}
	for _, id := range []string{"a1", "a2", "a3"} {
		want[id] = function.EmittedID("answer", "/test", id, 0)
	}
	if !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

func TestARecordThatKeepsFailingIsDeadLettered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := b.spec(t)
	b.start(t, spec)
	b.send(t, "fails1")
	letter := b.Records(t, b.letters, 1)[0]
	for key, want := range map[string]string{
		"ce_id":              "fails1",
		"dlq-original-topic": b.in,
		"dlq-error-class":    function.ClassExhausted,
		"dlq-retry-count":    "4",
		"dlq-service-name":   "answer",
		"dlq-consumer-group": spec.Group,
	} {
		if got := header(letter, key); got != want {
			t.Errorf("header %s is %q, want %q", key, got, want)
		}
	}
	if string(letter.Key) != "fails1" || string(letter.Value) != "{}" {
		t.Errorf("dead letter has key %q and value %q", letter.Key, letter.Value)
	}
}

func TestADuplicateIsHandledOnceAlsoAfterARestart(t *testing.T) { //nolint:tparallel // one run after the other
	t.Parallel()
	b := setup(t)
	b.environment["IDEMPOTENCY_STORE"], b.environment["IDEMPOTENCY_URL"] = "sqlite", filepath.Join(t.TempDir(), "handled.db")
	spec := b.spec(t)
	var calls atomic.Int64
	whole := spec.New
	spec.New = func(lookup function.Lookup) (function.Handler, error) {
		h, err := whole(lookup)
		return function.Raw(func(ctx context.Context, e event.Event) ([]event.Event, error) {
			calls.Add(1)
			return h.Handle(ctx, e)
		}, inType), err
	}
	for run, ids := range [][]string{{"a1", "a1", "a2"}, {"a2", "a1", "a3"}} {
		t.Run(fmt.Sprintf("run %d", run+1), func(t *testing.T) {
			b.start(t, spec)
			b.send(t, ids...)
			total := int64(3 * (run + 1))
			runtimetest.Eventually(t, "every record committed", func() bool {
				var committed int64
				for _, offset := range b.Committed(t, spec.Group, b.in) {
					committed += offset
				}
				return committed == total
			})
		})
	}
	if calls.Load() != 3 {
		t.Errorf("the handler was called %d times for 3 events", calls.Load())
	}
	if got := b.Records(t, b.out, 3); len(got) != 3 {
		t.Errorf("%d answers", len(got))
	}
}

func TestHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := b.spec(t)
	b.start(t, spec)
	b.send(t, "a1")
	b.Records(t, b.out, 1)
	if status, body := b.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if _, body := b.get(t, "/healthz"); body != `{"status":"healthy","details":{"connectedTopics":1,"activeConsumers":1,"producerConnected":true}}` {
		t.Errorf("/healthz: %s", body)
	}
	runtimetest.Eventually(t, "the record counted", func() bool {
		_, body := b.get(t, "/metrics")
		return strings.Contains(body, "kafka_messages_consumed_total{") && strings.Contains(body, `consumer_group="`+spec.Group+`"`)
	})
}

func TestACircuitOpensAndClosesAsTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environment["BREAKER_FAILURE_THRESHOLD"] = "2"
	b.environment["BREAKER_RECOVERY_TIMEOUT"] = "50ms"
	b.environment["BREAKER_MONITORING_PERIOD"] = "1m"
	b.environment["BREAKER_SUCCESS_THRESHOLD"] = "1"
	b.down.Store(true)
	b.start(t, b.spec(t))
	b.send(t, "mails1")
	runtimetest.Eventually(t, "the circuit opened", func() bool {
		_, body := b.get(t, "/metrics")
		return strings.Contains(body, `circuit_openings_total{dependency="smtp"}`)
	})
	for _, path := range []string{"/readyz", "/healthz"} {
		if status, body := b.get(t, path); status != http.StatusOK || !strings.Contains(body, `"circuits":{"smtp":"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	b.down.Store(false)
	b.Records(t, b.out, 1)
	runtimetest.Eventually(t, "the circuit closed", func() bool {
		_, body := b.get(t, "/readyz")
		return strings.Contains(body, `"circuits":{"smtp":"closed"}`)
	})
}

func TestReadinessTurnsRedWhileADeadLetterCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fault := b.Embedded(t).Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: b.letters, Err: kerr.NotEnoughReplicas, Count: -1,
	})
	spec := b.spec(t)
	b.start(t, spec)
	b.send(t, "fails1")
	runtimetest.Eventually(t, "red", func() bool {
		status, body := b.get(t, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "dead letters") && strings.Contains(body, b.letters)
	})
	if got := slices.Max(slices.Collect(maps.Values(b.Committed(t, spec.Group, b.in)))); got != 0 {
		t.Errorf("committed %d although the dead letter is not written", got)
	}
	fault.Remove()
	runtimetest.Eventually(t, "green", func() bool { status, _ := b.get(t, "/readyz"); return status == http.StatusOK })
	if letter := b.Records(t, b.letters, 1)[0]; header(letter, "ce_id") != "fails1" {
		t.Errorf("dead letter of %s", header(letter, "ce_id"))
	}
}

func TestARecordAsLargeAsItsTopicAllowsFitsIntoTheDeadLetterTopic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.letters = runtimetest.UniqueName(t)
	b.CreateTopic(t, b.letters, 1, map[string]string{"max.message.bytes": "2097152"})
	b.environment["DEAD_LETTER_TOPIC"] = b.letters
	b.start(t, b.spec(t))
	value := bytes.Repeat([]byte{0xfe}, 1_000_000-500)
	b.Produce(t, b.in, &kgo.Record{Value: value})
	if letter := b.Records(t, b.letters, 1)[0]; !bytes.Equal(letter.Value, value) {
		t.Errorf("dead letter of %d bytes, want %d", len(letter.Value), len(value))
	}
}

func TestRunNamesEveryProblemOfTheEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	maps.Copy(b.environment, map[string]string{"WORKERS": "0", "EVENT_FORMAT": "xml", "HTTP_ADDR": "nonsense", "KAFKA_BROKERS": "nowhere", "IDEMPOTENCY_STORE": "redis"})
	broken := b.spec(t)
	broken.Name = "Not Good"
	err := boot.Run(t.Context(), b.lookup, []function.Spec{broken}, nil)
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"WORKERS", "EVENT_FORMAT", "IDEMPOTENCY_URL", "HTTP_ADDR", "KAFKA_BROKERS", `function "Not Good": Name`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}

func TestRunRefusesToStart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*bundle, *function.Spec)
		want   string
	}{
		{"no broker", func(b *bundle, _ *function.Spec) { b.environment["KAFKA_BROKERS"] = "127.0.0.1:1" }, "127.0.0.1:1"},
		{"no topic", func(_ *bundle, s *function.Spec) { s.Topic = "absent" }, "topic absent does not exist"},
		{"no topic for what it emits", func(_ *bundle, s *function.Spec) { s.Topics = nil }, "emits type " + outType + ", which has no topic"},
		{"no dead letter topic", func(b *bundle, _ *function.Spec) { b.environment["DEAD_LETTER_TOPIC"] = "absent" },
			"DEAD_LETTER_TOPIC: topic absent does not exist"},
		{"no output topic", func(_ *bundle, s *function.Spec) { s.Topics = map[string]string{outType: "absent"} },
			"publishes: topic absent does not exist"},
		{"no idempotency store", func(b *bundle, _ *function.Spec) {
			b.environment["IDEMPOTENCY_STORE"], b.environment["IDEMPOTENCY_URL"] = "redis", "redis://127.0.0.1:1"
		}, "IDEMPOTENCY_URL: Redis at 127.0.0.1:1"},
		{"handler that cannot be made", func(_ *bundle, s *function.Spec) {
			s.New = func(function.Lookup) (function.Handler, error) { return nil, errors.New("no such template") }
		}, "function answer: no such template"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			spec := b.spec(t)
			tc.change(b, &spec)
			err := boot.Run(t.Context(), b.lookup, []function.Spec{spec}, &boot.Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run() = %v, want an error with %q", err, tc.want)
			}
		})
	}
	t.Run("port in use", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		l, err := net.Listen("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		err = boot.Run(t.Context(), b.lookup, []function.Spec{b.spec(t)}, &boot.Options{Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "HTTP_ADDR: "+b.addr+" is in use") {
			t.Errorf("Run() = %v", err)
		}
	})
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"help", []string{"--help"}, 0, "KAFKA_BROKERS", ""},
		{"help lists what Lambda sets", []string{"-h"}, 0, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""},
		{"help names the functions", []string{"-h"}, 0, "answer", ""},
		{"help lists what functions read themselves", []string{"-h"}, 0, "ANSWER_SHADE", ""},
		{"unknown argument", []string{"--fast"}, 2, "", "--help lists the variables"},
		{"cannot start", nil, 1, "", "WORKERS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.environment["WORKERS"] = "-1"
			var stdout, stderr bytes.Buffer
			spec := b.spec(t)
			spec.Settings = &struct {
				Shade string `env:"ANSWER_SHADE" doc:"Of what colour the answer is."`
			}{}
			code := boot.Command(t.Context(), tc.args, b.lookup, &stdout, &stderr, []function.Spec{spec})
			if code != tc.code || !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("exit code %d\n%s\n%s", code, &stdout, &stderr)
			}
		})
	}
}
