package deadletter_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

var (
	service = deadletter.Service{Name: "notification-service", Version: "1.2.3"}
	noon    = time.Date(2023, 12, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600))
)

// failure is one with everything set.
func failure(m kafkabinding.Message) pipeline.Failure {
	return pipeline.Failure{
		Record:   &pipeline.Record{Topic: "order-events", Partition: 2, Offset: 1234, Timestamp: noon.Add(-time.Hour), Message: m},
		EventID:  "event-1",
		Function: "order-created",
		Group:    "notification-service-orders",
		Err:      errors.New("database connection timeout"),
		Class:    function.ClassExhausted,
		Attempts: 4,
		First:    noon,
		Last:     noon.Add(1500 * time.Millisecond),
		Stack:    []byte("goroutine 1 [running]:"),
	}
}

func message(key, value string, headers ...string) kafkabinding.Message {
	m := kafkabinding.Message{Key: []byte(key), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return m
}

func TestMessage(t *testing.T) {
	t.Parallel()
	got := deadletter.Message(failure(message("order-1", "data", "ce_id", "event-1", "ce_traceparent", "00-trace-01")), service)

	want := message("order-1", "data",
		"ce_id", "event-1",
		"ce_traceparent", "00-trace-01",
		"dlq-original-topic", "order-events",
		"dlq-original-partition", "2",
		"dlq-original-offset", "1234",
		"dlq-original-timestamp", "2023-12-01T10:00:00Z",
		"dlq-failure-reason", "database connection timeout",
		"dlq-error-class", "exhausted",
		"dlq-retry-count", "3",
		"dlq-first-failure-timestamp", "2023-12-01T11:00:00Z",
		"dlq-last-failure-timestamp", "2023-12-01T11:00:01.5Z",
		"dlq-service-name", "notification-service",
		"dlq-service-version", "1.2.3",
		"dlq-consumer-group", "notification-service-orders",
		"dlq-replay-count", "0",
		"dlq-stack-trace", "goroutine 1 [running]:",
		"traceparent", "00-trace-01",
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
}

func TestMessageOfLittle(t *testing.T) {
	t.Parallel()
	f := pipeline.Failure{Record: &pipeline.Record{Topic: "t", Partition: -1, Offset: -1}, Function: "order-created"}
	got := deadletter.Message(f, deadletter.Service{})
	want := message("", "",
		"dlq-original-topic", "t",
		"dlq-original-partition", "-1",
		"dlq-original-offset", "-1",
		"dlq-failure-reason", "",
		"dlq-error-class", "",
		"dlq-retry-count", "0",
		"dlq-service-name", "order-created",
		"dlq-service-version", "",
		"dlq-consumer-group", "",
		"dlq-replay-count", "0",
	)
	want.Key, want.Value = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
}

func TestMessageKeepsATrace(t *testing.T) {
	t.Parallel()
	m := deadletter.Message(failure(message("k", "v", "traceparent", "00-hop-01", "ce_traceparent", "00-start-01")), service)
	var traces []string
	for _, h := range m.Headers {
		if string(h.Key) == "traceparent" {
			traces = append(traces, string(h.Value))
		}
	}
	if diff := cmp.Diff([]string{"00-hop-01"}, traces); diff != "" {
		t.Errorf("traces (-want +got):\n%s", diff)
	}
}

func TestMessageDoesNotTouchTheOriginal(t *testing.T) {
	t.Parallel()
	headers := append(make([]kafkabinding.Header, 0, 100), kafkabinding.Header{Key: []byte("a")})
	deadletter.Message(failure(kafkabinding.Message{Headers: headers}), service)
	if spare := headers[:2][1]; spare.Key != nil {
		t.Errorf("the original's array now holds %s", spare.Key)
	}
}

func TestMessageBoundsText(t *testing.T) {
	t.Parallel()
	f := failure(message("k", "v"))
	f.Err = errors.New("line one\nline two \xff " + strings.Repeat("é", 2000))
	f.Stack = []byte(strings.Repeat("ü", 5000))
	f.Class, f.Group = strings.Repeat("c", 1000), strings.Repeat("g", 1000)

	l := parse(t, deadletter.Message(f, deadletter.Service{Name: strings.Repeat("n", 1000), Version: strings.Repeat("v", 1000)}))
	if !strings.HasPrefix(l.Reason, "line one; line two ? éé") || len(l.Reason) > 1024 || len(l.Reason) < 1000 || !utf8.ValidString(l.Reason) {
		t.Errorf("reason of %d bytes: %q", len(l.Reason), l.Reason)
	}
	if len(l.Stack) > 4096 || len(l.Stack) < 4000 || !utf8.ValidString(l.Stack) {
		t.Errorf("stack of %d bytes", len(l.Stack))
	}
	for _, s := range []string{l.Class, l.Group, l.Service.Name, l.Service.Version} {
		if len(s) != 256 {
			t.Errorf("%q has %d bytes", s, len(s))
		}
	}
}

func TestAnErrorsCausesStandWhereItHasNoStack(t *testing.T) {
	t.Parallel()
	f := failure(message("k", "v"))
	f.Stack = nil
	inner := errors.New("no route\nto host")
	f.Err = fmt.Errorf("publish: %w", errors.Join(&function.UnavailableError{Dependency: "db", Err: inner}, errors.New("second")))
	got := parse(t, deadletter.Message(f, service)).Stack
	want := strings.Join([]string{
		"*fmt.wrapError: publish: db is unavailable: no route; to host; second",
		"*errors.joinError: db is unavailable: no route; to host; second",
		"*function.UnavailableError: db is unavailable: no route; to host",
		"*errors.errorString: no route; to host",
		"*errors.errorString: second",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	for range 100 {
		f.Err = fmt.Errorf("again %w", f.Err)
	}
	if lines := strings.Count(parse(t, deadletter.Message(f, service)).Stack, "\n") + 1; lines > 32 {
		t.Errorf("%d lines of a chain of 100 errors", lines)
	}
}

// TestMessageFits has originals grow until they leave no room.
func TestMessageFits(t *testing.T) {
	t.Parallel()
	const reason, stack = 1000, 4000
	room := func(value int) deadletter.Letter {
		f := failure(kafkabinding.Message{Value: make([]byte, value)})
		f.Err, f.Stack = errors.New(strings.Repeat("r", reason)), []byte(strings.Repeat("s", stack))
		m := deadletter.Message(f, service)
		if len(m.Value) != value {
			t.Fatalf("the value was cut to %d bytes", len(m.Value))
		}
		size := 36 + len(m.Value)
		for _, h := range m.Headers {
			size += 10 + len(h.Key) + len(h.Value)
		}
		if most := max(deadletter.DefaultMaxBytes, value+2000); size > most {
			t.Errorf("value of %d bytes: letter of %d bytes", value, size)
		}
		return parse(t, m)
	}
	for name, test := range map[string]struct{ value, reason, stack int }{
		"plenty":             {1 << 20, reason, stack},
		"none for the stack": {deadletter.DefaultMaxBytes - 4000, reason, 0},
		"none for either":    {deadletter.DefaultMaxBytes - 100, 0, 0},
		"beyond the limit":   {deadletter.DefaultMaxBytes + 100, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := room(test.value)
			if len(l.Reason) != test.reason || len(l.Stack) != test.stack {
				t.Errorf("reason of %d bytes, stack of %d, want %d and %d", len(l.Reason), len(l.Stack), test.reason, test.stack)
			}
		})
	}
	if l := room(deadletter.DefaultMaxBytes - 1200); len(l.Reason) == 0 || len(l.Reason) == reason {
		t.Errorf("the reason was not shortened but has %d bytes", len(l.Reason))
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	f := failure(message("k", "v", "h", "x"))
	l := parse(t, deadletter.Lost(f, 1300, service))
	if !l.Lost || l.Offset != 1234 || l.LastOffset != 1300 || l.Topic != "order-events" || l.Partition != 2 {
		t.Errorf("%+v", l)
	}
	if l.Original.Key != nil || l.Original.Value != nil || len(l.Original.Headers) > 0 {
		t.Errorf("bytes that cannot be had: %+v", l.Original)
	}
	if string(f.Record.Key) != "k" {
		t.Error("the caller's record was changed")
	}
}

func parse(t *testing.T, m kafkabinding.Message) deadletter.Letter {
	t.Helper()
	l, err := deadletter.Parse(m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// drawBytes draws null, empty, or any bytes.
func drawBytes(t *rapid.T, label string) []byte {
	return rapid.OneOf(
		rapid.Just[[]byte](nil),
		rapid.Just([]byte{}),
		rapid.SliceOfN(rapid.Byte(), 1, 20),
	).Draw(t, label)
}

func drawMessage(t *rapid.T) kafkabinding.Message {
	m := kafkabinding.Message{Key: drawBytes(t, "key"), Value: drawBytes(t, "value")}
	for range rapid.IntRange(0, 8).Draw(t, "headers") {
		name := rapid.OneOf(
			rapid.SampledFrom([]string{
				deadletter.HeaderTopic, deadletter.HeaderOffset, deadletter.HeaderReplays, deadletter.HeaderLastOffset,
				"traceparent", "ce_traceparent", "ce_id", "",
			}),
			rapid.String(),
		).Draw(t, "name")
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(name), Value: drawBytes(t, "header value")})
	}
	return m
}

// TestOriginalComesBack: whatever bytes a record has, spoofed headers included, its letter gives them back, also when
// the letter itself became a dead letter.
func TestOriginalComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		original := drawMessage(t)
		f := failure(original)
		f.Record.Partition = rapid.Int32Min(-1).Draw(t, "partition")
		f.Record.Offset = rapid.Int64Min(-1).Draw(t, "offset")
		f.Attempts = rapid.IntRange(0, math.MaxInt32).Draw(t, "attempts")
		f.Err = errors.New(rapid.String().Draw(t, "reason"))
		letter := deadletter.Message(f, service)

		again := failure(letter)
		again.Record.Topic = deadletter.DefaultTopic
		outer, err := deadletter.Parse(deadletter.Message(again, service))
		if err != nil {
			t.Fatal(err)
		}
		if outer.Topic != deadletter.DefaultTopic || !cmp.Equal(letter, outer.Original) {
			t.Fatalf("the letter of a letter: %+v", outer)
		}
		inner, err := deadletter.Parse(outer.Original)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(original, withoutEmptyHeaders(inner.Original)); diff != "" {
			t.Fatalf("original (-want +got):\n%s", diff)
		}
		if inner.Topic != "order-events" || inner.Partition != f.Record.Partition || inner.Offset != f.Record.Offset ||
			inner.Retries != max(0, f.Attempts-1) || inner.Replays != 0 || inner.Lost {
			t.Fatalf("spoofed: %+v", inner)
		}
	})
}

// withoutEmptyHeaders makes no headers nil, as the drawn message has them: Kafka does not tell them apart.
func withoutEmptyHeaders(m kafkabinding.Message) kafkabinding.Message {
	if len(m.Headers) == 0 {
		m.Headers = nil
	}
	return m
}

func ExampleMessage() {
	record := &pipeline.Record{Topic: "order-events", Partition: 0, Offset: 1234}
	record.Key, record.Value = []byte("order-1"), []byte("not JSON")

	letter := deadletter.Message(pipeline.Failure{
		Record: record, Err: errors.New("not a CloudEvent"), Class: function.ClassUndecodable,
	}, deadletter.Service{Name: "notification-service", Version: "1.2.3"})

	for _, h := range letter.Headers[:5] {
		fmt.Printf("%s: %s\n", h.Key, h.Value)
	}
	// Output:
	// dlq-original-topic: order-events
	// dlq-original-partition: 0
	// dlq-original-offset: 1234
	// dlq-failure-reason: not a CloudEvent
	// dlq-error-class: undecodable
}
