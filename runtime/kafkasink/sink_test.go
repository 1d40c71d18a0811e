package kafkasink_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The metrics library below sarama keeps one goroutine for the life of the process.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// sarama's circuit breaker sleeps for 10 s after three failures, whether it is still needed or not.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"),
	)
}

// open returns a sink that is closed when the test ends.
func open(t *testing.T, broker *runtimetest.Broker, o *kafkasink.Options) *kafkasink.Sink {
	t.Helper()
	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: broker.Addrs}, "test", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return sink
}

// newEvent returns an event about aggregate; "" leaves out the partition key.
func newEvent(id, aggregate string) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetSource("/order-service")
	e.SetType("dev.millrace.order.created.v1")
	e.SetTime(time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC))
	if aggregate != "" {
		e.SetSubject(aggregate)
		e.SetExtension(function.PartitionKey, aggregate)
	}
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"orderId":"` + aggregate + `"}`)
	return e
}

func output(topic string, e event.Event) pipeline.Output {
	return pipeline.Output{Topic: topic, Event: e}
}

// messageOf returns what a reader sees of a record.
func messageOf(r *kgo.Record) kafkabinding.Message {
	m := kafkabinding.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func wantVerdict(t *testing.T, err error, want function.Verdict, words ...string) {
	t.Helper()
	if got := function.VerdictOf(err); got != want {
		t.Fatalf("%v is %s, want %s", err, got, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not hold %q", err, word)
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	for _, format := range []kafkasink.Format{"", kafkasink.Binary, kafkasink.Structured, kafkasink.Envelope} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			topic := broker.NewTopic(t, 1)
			sink := open(t, broker, &kafkasink.Options{Format: format})
			keyed, keyless := newEvent("1", "order-1"), newEvent("2", "")
			if format == kafkasink.Envelope {
				keyless.SetSubject("order-2")
			}
			if err := sink.Send(t.Context(), output(topic, keyed), output(topic, keyless)); err != nil {
				t.Fatal(err)
			}
			records := broker.Records(t, topic, 2)
			if string(records[0].Key) != "order-1" || records[1].Key != nil {
				t.Errorf("keys are %q and %q", records[0].Key, records[1].Key)
			}
			got, err := kafkabinding.Decode(messageOf(records[0]))
			if format == kafkasink.Envelope {
				got, err = envelope.Decode(records[0].Value)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ID() != "1" || got.Subject() != "order-1" || string(got.Data()) != `{"orderId":"order-1"}` {
				t.Errorf("event is %s", got)
			}
			structured := strings.HasPrefix(string(records[0].Value), `{"`) && strings.Contains(string(records[0].Value), "order-service")
			if binary := format == "" || format == kafkasink.Binary; binary == structured {
				t.Errorf("value is %s", records[0].Value)
			}
		})
	}
}

func TestSendNothing(t *testing.T) {
	t.Parallel()
	if err := open(t, runtimetest.Kafka(t, nil), nil).Send(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSendAllOrNone: an event that cannot be encoded keeps the others back, for a function's answer is one thing.
func TestSendAllOrNone(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	invalid := newEvent("broken", "order-1")
	invalid.SetType("")
	huge := newEvent("huge", "order-1")
	huge.DataEncoded = make([]byte, kafkasink.DefaultMaxEventBytes)

	err := sink.Send(t.Context(), output(topic, newEvent("1", "order-1")), output(topic, invalid), output(topic, huge), output(topic, event.Event{}))
	wantVerdict(t, err, function.DeadLetter, topic, "event broken", "event huge", "1048576")
	var permanent *function.PermanentError
	if !errors.As(err, &permanent) || permanent.Class != function.ClassOutput {
		t.Errorf("class of %v", err)
	}

	if err := sink.Send(t.Context(), output(topic, newEvent("2", "order-1"))); err != nil {
		t.Fatal(err)
	}
	if records := broker.Records(t, topic, 1); len(records) != 1 {
		t.Errorf("%d records, want the last event alone", len(records))
	}
}

func TestSendAsync(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 3)
	sink := open(t, broker, nil)
	const n = 2000
	outcomes := make(chan error, n)
	for i := range n {
		e := newEvent(strconv.Itoa(i), "order-"+strconv.Itoa(i%50))
		if err := sink.SendAsync(t.Context(), output(topic, e), func(err error) { outcomes <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-outcomes; err != nil {
			t.Fatal(err)
		}
	}
	checkOrder(t, broker.Records(t, topic, n), n)
}

// checkOrder checks that each of n events is there once, and those of a key in the order of their ids.
func checkOrder(t *testing.T, records []*kgo.Record, n int) {
	t.Helper()
	if len(records) != n {
		t.Errorf("%d records, want %d", len(records), n)
	}
	last := map[string]int{}
	for _, r := range records {
		e, err := kafkabinding.Decode(messageOf(r))
		if err != nil {
			t.Fatal(err)
		}
		id, err := strconv.Atoi(e.ID())
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := last[string(r.Key)]; ok && before >= id {
			t.Fatalf("key %s: event %d after event %d", r.Key, id, before)
		}
		last[string(r.Key)] = id
	}
}

func TestSendAsyncRefuses(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	sink := open(t, broker, nil)
	done := func(err error) { t.Errorf("called with %v", err) }
	wantVerdict(t, sink.SendAsync(t.Context(), output("t", event.Event{}), done), function.DeadLetter)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// An ended context and a free producer are both ready: one of them is chosen. Only a refusal may not call done.
	err := sink.SendAsync(ended, output(broker.NewTopic(t, 1), newEvent("1", "")), func(error) {})
	if err != nil {
		wantVerdict(t, err, function.Broken, "event 1")
	}
}

func TestSendConcurrently(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 3)
	sink := open(t, broker, nil)
	const senders, events = 16, 100
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range events {
				e := newEvent(strconv.Itoa(i), "sender-"+strconv.Itoa(s))
				if err := sink.Send(t.Context(), output(topic, e)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	checkOrder(t, broker.Records(t, topic, senders*events), senders*events)
}

// TestProduceKeepsBytes: null and empty are different things, header names may repeat, and any byte goes.
func TestProduceKeepsBytes(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	header := func(key string, value []byte) kafkabinding.Header {
		return kafkabinding.Header{Key: []byte(key), Value: value}
	}
	for name, m := range map[string]kafkabinding.Message{
		"null":             {},
		"empty":            {Key: []byte{}, Value: []byte{}},
		"null key":         {Value: []byte("v")},
		"null value":       {Key: []byte("k")},
		"any bytes":        {Key: all, Value: all, Headers: []kafkabinding.Header{header("h", all)}},
		"header values":    {Headers: []kafkabinding.Header{header("null", nil), header("empty", []byte{})}},
		"repeated headers": {Headers: []kafkabinding.Header{header("b", []byte("1")), header("a", nil), header("b", []byte("2")), header("", []byte("3"))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := broker.NewTopic(t, 1)
			at := time.UnixMilli(1_700_000_000_123)
			if err := open(t, broker, nil).Produce(t.Context(), topic, m, at); err != nil {
				t.Fatal(err)
			}
			record := broker.Records(t, topic, 1)[0]
			if diff := cmp.Diff(m, messageOf(record)); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if !record.Timestamp.Equal(at) {
				t.Errorf("timestamp is %s", record.Timestamp)
			}
		})
	}
}

func TestProduceNullHeaderName(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	headers := []kafkabinding.Header{{Value: []byte("v")}}
	before := time.Now().Add(-time.Second)
	if err := open(t, broker, nil).Produce(t.Context(), topic, kafkabinding.Message{Headers: headers}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	record := broker.Records(t, topic, 1)[0]
	if record.Headers[0].Key != "" || string(record.Headers[0].Value) != "v" {
		t.Errorf("headers are %v", record.Headers)
	}
	if record.Timestamp.Before(before) {
		t.Errorf("timestamp is %s, want the present", record.Timestamp)
	}
	if headers[0].Key != nil {
		t.Error("the caller's headers were changed")
	}
}

// TestPartitions has keys go where Java's clients put them: hashes of Kafka's own UtilsTest.
func TestPartitions(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	const partitions = 7
	topic := broker.NewTopic(t, partitions)
	sink := open(t, broker, nil)
	hashes := map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
		"":    275646681,
	}
	for key := range hashes {
		m := kafkabinding.Message{Key: []byte(key)}
		if err := sink.Produce(t.Context(), topic, m, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range broker.Records(t, topic, len(hashes)) {
		if want := (hashes[string(r.Key)] & 0x7fffffff) % partitions; r.Partition != want {
			t.Errorf("key %q is in partition %d, want %d", r.Key, r.Partition, want)
		}
	}
}

// TestKeylessRecordsSpread: records without a key are not all in one partition.
func TestKeylessRecordsSpread(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 3)
	sink := open(t, broker, nil)
	const n = 100
	for i := range n {
		if err := sink.Send(t.Context(), output(topic, newEvent(strconv.Itoa(i), ""))); err != nil {
			t.Fatal(err)
		}
	}
	used := map[int32]int{}
	for _, r := range broker.Records(t, topic, n) {
		used[r.Partition]++
	}
	if len(used) != 3 {
		t.Errorf("records by partition: %v", used)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			topic := broker.NewTopic(t, 1)
			sink := open(t, broker, &kafkasink.Options{Compression: codec})
			if err := sink.Send(t.Context(), output(topic, newEvent("1", "order-1"))); err != nil {
				t.Fatal(err)
			}
			broker.Records(t, topic, 1)
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options kafkasink.Options
		want    string
	}{
		"format":          {kafkasink.Options{Format: "xml"}, "Format"},
		"compression":     {kafkasink.Options{Compression: "brotli"}, "Compression"},
		"event limit":     {kafkasink.Options{MaxEventBytes: -1}, "MaxEventBytes"},
		"raw limit low":   {kafkasink.Options{MaxEventBytes: 100, MaxRawBytes: 99}, "MaxRawBytes"},
		"raw limit high":  {kafkasink.Options{MaxRawBytes: 100 << 20}, "MaxRawBytes"},
		"event limit big": {kafkasink.Options{MaxEventBytes: 100 << 20}, "MaxRawBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := kafkasink.Open(kafkaclient.Config{Brokers: []string{"127.0.0.1:1"}}, "test", &test.options)
			if err == nil || !strings.Contains(err.Error(), "Options."+test.want) {
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
		})
	}
}

func TestOpenWithoutBroker(t *testing.T) {
	t.Parallel()
	start := time.Now()
	_, err := kafkasink.Open(kafkaclient.Config{Brokers: []string{"127.0.0.1:1"}}, "test", nil)
	if err == nil || !strings.Contains(err.Error(), "no broker listens") || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
	if _, err := kafkasink.Open(kafkaclient.Config{}, "test", nil); err == nil {
		t.Error("no brokers, no error")
	}
}

func TestRequireTopics(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	sink := open(t, broker, nil)
	there, missing := broker.NewTopic(t, 1), runtimetest.UniqueName(t)
	if err := sink.RequireTopics(there); err != nil {
		t.Error(err)
	}
	err := sink.RequireTopics(there, missing)
	if err == nil || !strings.Contains(err.Error(), missing) || strings.Contains(err.Error(), there) || !strings.Contains(err.Error(), broker.Addrs[0]) {
		t.Errorf("got %v, want an error that names %s alone", err, missing)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	const n = 500
	outcomes := make(chan error, n)
	for i := range n {
		if err := sink.SendAsync(t.Context(), output(topic, newEvent(strconv.Itoa(i), "k")), func(err error) { outcomes <- err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != n {
		t.Fatalf("%d outcomes when Close returned, want %d", len(outcomes), n)
	}
	for range n {
		if err := <-outcomes; err != nil {
			t.Fatal(err)
		}
	}
	checkOrder(t, broker.Records(t, topic, n), n)

	err := sink.Send(t.Context(), output(topic, newEvent("late", "k")))
	wantVerdict(t, err, function.Broken, "event late", topic)
	if !errors.Is(err, kafkasink.ErrClosed) {
		t.Errorf("got %v", err)
	}
	err = sink.Produce(t.Context(), topic, kafkabinding.Message{Value: make([]byte, kafkasink.DefaultMaxEventBytes+1)}, time.Time{})
	if !errors.Is(err, kafkasink.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if sink.Connected() {
		t.Error("a closed sink is connected")
	}
	if err := sink.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// TestCloseWhileSending has senders and Close meet: each event is published or refused, and nothing panics.
func TestCloseWhileSending(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	var group sync.WaitGroup
	var mu sync.Mutex
	published := 0
	started := make(chan struct{}, 8)
	for s := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				err := sink.Send(t.Context(), output(topic, newEvent(fmt.Sprintf("%d-%d", s, i), "k")))
				if errors.Is(err, kafkasink.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				published++
				mu.Unlock()
				if i == 0 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	group.Wait()
	if got := len(broker.Records(t, topic, published)); got != published {
		t.Errorf("%d records, %d were reported as published", got, published)
	}
}
