package kafkasink_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// TestAnswers has the broker answer with an error: for good, it decides the verdict; once, where sarama repeats the
// request, the event is published.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer  *kerr.Error
		verdict function.Verdict
		// repeated answers are asked again and do not reach the caller at once.
		repeated bool
	}{
		{kerr.NotEnoughReplicas, function.Broken, true},
		{kerr.NotLeaderForPartition, function.Broken, true},
		{kerr.RequestTimedOut, function.Broken, true},
		{kerr.OutOfOrderSequenceNumber, function.Broken, false},
		{kerr.UnknownProducerID, function.Broken, false},
		{kerr.InvalidProducerEpoch, function.Broken, false},
		{kerr.ThrottlingQuotaExceeded, function.Broken, false},
		{kerr.TopicAuthorizationFailed, function.Retry, false},
		{kerr.ClusterAuthorizationFailed, function.Retry, false},
		{kerr.CorruptMessage, function.Retry, true},
		{kerr.UnknownServerError, function.Retry, false},
		{kerr.MessageTooLarge, function.DeadLetter, false},
		{kerr.RecordListTooLarge, function.DeadLetter, false},
		{kerr.InvalidRecord, function.DeadLetter, false},
		{kerr.InvalidTimestamp, function.DeadLetter, false},
		{kerr.PolicyViolation, function.DeadLetter, false},
	} {
		t.Run(test.answer.Message, func(t *testing.T) {
			t.Parallel()
			broker := runtimetest.Kafka(t, nil)
			cluster := broker.Embedded(t)
			topic := broker.NewTopic(t, 1)
			sink := open(t, broker, nil)
			fault := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: test.answer, Count: -1}

			always := cluster.Fault(fault)
			err := sink.Send(t.Context(), output(topic, newEvent("event-1", "order-1")))
			wantVerdict(t, err, test.verdict, topic, "event-1")
			if hits := always.Hits(); test.repeated && hits < 3 {
				t.Errorf("the request was sent %d times", hits)
			}
			if broken := test.verdict == function.Broken; sink.Connected() == broken {
				t.Errorf("connected is %t", !broken)
			}
			always.Remove()

			fault.Count = 1
			cluster.Fault(fault)
			err = sink.Send(t.Context(), output(topic, newEvent("event-2", "order-1")))
			if test.repeated && err != nil {
				t.Errorf("answered once: %v", err)
			}
			if err := sink.Send(t.Context(), output(topic, newEvent("event-3", "order-1"))); err != nil {
				t.Errorf("after the fault: %v", err)
			}
			runtimetest.Eventually(t, "the sink is connected", sink.Connected)
		})
	}
}

func TestUnknownTopic(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	sink := open(t, broker, nil)
	topic := runtimetest.UniqueName(t)
	// More often than sarama asks before it rests: the reason stays the same.
	for i := range 5 {
		err := sink.Send(t.Context(), output(topic, newEvent(strconv.Itoa(i), "order-1")))
		wantVerdict(t, err, function.Retry, "topic "+topic, "does not exist", "kafka-topics.sh --create", "event "+strconv.Itoa(i))
	}
	if !sink.Connected() {
		t.Error("a topic that does not exist disconnects the sink")
	}
	known := broker.NewTopic(t, 1)
	if err := sink.Send(t.Context(), output(known, newEvent("6", "order-1"))); err != nil {
		t.Errorf("another topic: %v", err)
	}
}

// TestInvalidTopic: the cluster says that there cannot be such a topic.
func TestInvalidTopic(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := runtimetest.UniqueName(t)
	broker.Embedded(t).Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: kerr.InvalidTopicException, Count: -1})
	err := open(t, broker, nil).Send(t.Context(), output(topic, newEvent("1", "order-1")))
	wantVerdict(t, err, function.DeadLetter, topic)
}

// TestSmallTopic: a topic takes less than a batch. The broker refuses batches; records that fit are published alone.
func TestSmallTopic(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := runtimetest.UniqueName(t)
	broker.CreateTopic(t, topic, 1, map[string]string{"max.message.bytes": "10000"})
	sink := open(t, broker, nil)
	const n = 50
	outcomes := make(chan error, n)
	for i := range n {
		e := newEvent(strconv.Itoa(i), "order-1")
		e.DataEncoded = []byte(`"` + string(bytes.Repeat([]byte("x"), 4000)) + `"`)
		if err := sink.SendAsync(t.Context(), output(topic, e), func(err error) { outcomes <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-outcomes; err != nil {
			t.Fatal(err)
		}
	}
	if got := len(broker.Records(t, topic, n)); got != n {
		t.Errorf("%d records, want %d", got, n)
	}

	e := newEvent("large", "order-1")
	e.DataEncoded = make([]byte, 20000)
	wantVerdict(t, sink.Send(t.Context(), output(topic, e)), function.DeadLetter, "event large", topic)
}

// TestLargeRawRecord: a dead letter may be larger than an event.
func TestLargeRawRecord(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := runtimetest.UniqueName(t)
	broker.CreateTopic(t, topic, 1, map[string]string{"max.message.bytes": "2097152"})
	sink := open(t, broker, nil)
	m := kafkabinding.Message{Value: make([]byte, kafkasink.DefaultMaxEventBytes+5000)}
	for range 2 {
		if err := sink.Produce(t.Context(), topic, m, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	broker.Records(t, topic, 2)

	m.Value = make([]byte, kafkasink.DefaultMaxRawBytes)
	wantVerdict(t, sink.Produce(t.Context(), topic, m, time.Time{}), function.DeadLetter, topic, "2097152")
	usual := broker.NewTopic(t, 1)
	m.Value = make([]byte, kafkasink.DefaultMaxEventBytes+5000)
	wantVerdict(t, sink.Produce(t.Context(), usual, m, time.Time{}), function.DeadLetter, usual)
}

// TestAbandon gives up on a broker that does not answer. The event is published when it does.
func TestAbandon(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	cluster := broker.Embedded(t)
	topic := broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	asked, answer := make(chan struct{}), make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		cluster.SleepControl(func() { <-answer })
		return nil, nil, false
	})

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	err := sink.Send(ctx, output(topic, newEvent("slow", "order-1")))
	wantVerdict(t, err, function.Broken, "event slow", topic, "may still be published")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap the context's error", err)
	}
	close(answer)
	broker.Records(t, topic, 1)
}

// restartable starts a broker with one topic on an address that it keeps.
func restartable(t *testing.T, topic string) (addr string, start func() *kfake.Cluster) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String(), func() *kfake.Cluster {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(1, topic), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		return cluster
	}
}

// TestBrokerGone stops the broker and starts it again: what is sent in between is told to be the cluster's failure, in a
// bounded time, and afterwards the sink works as before.
func TestBrokerGone(t *testing.T) {
	t.Parallel()
	const topic = "order-events"
	addr, start := restartable(t, topic)
	cluster := start()
	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: []string{addr}}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), output(topic, newEvent("before", "order-1"))); err != nil {
		t.Fatal(err)
	}

	cluster.Close()
	began := time.Now()
	err = sink.Send(t.Context(), output(topic, newEvent("lost", "order-1")))
	wantVerdict(t, err, function.Broken, "event lost", topic, "kafka at "+addr)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("told after %s", took)
	}
	if sink.Connected() {
		t.Error("connected to a broker that is gone")
	}

	cluster = start()
	t.Cleanup(cluster.Close)
	runtimetest.Eventually(t, "the sink sees the broker without publishing", sink.Connected)
	runtimetest.Eventually(t, "publishing works", func() bool {
		err := sink.Send(t.Context(), output(topic, newEvent("after", "order-1")))
		if err != nil {
			wantVerdict(t, err, function.Broken)
		}
		return err == nil
	})
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseWithoutBroker: Close ends in a bounded time with records on their way to a broker that is gone.
func TestCloseWithoutBroker(t *testing.T) {
	t.Parallel()
	const topic = "order-events"
	addr, start := restartable(t, topic)
	cluster := start()
	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: []string{addr}}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), output(topic, newEvent("before", "order-1"))); err != nil {
		t.Fatal(err)
	}
	cluster.Close()
	const n = 300
	outcomes := make(chan error, n)
	for i := range n {
		if err := sink.SendAsync(t.Context(), output(topic, newEvent(strconv.Itoa(i), "k")), func(err error) { outcomes <- err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	for range n {
		wantVerdict(t, <-outcomes, function.Broken)
	}
}

// deaf is a listener whose connections, from some moment on, take what is written to them and never answer.
type deaf struct {
	net.Listener
	hears atomic.Bool
}

func (d *deaf) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	return &deafConn{Conn: conn, listener: d}, err
}

type deafConn struct {
	net.Conn
	listener *deaf
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && !c.listener.hears.Load() {
		_, err = io.Copy(io.Discard, c.Conn)
		return 0, cmp.Or(err, io.EOF)
	}
	return n, err
}

// TestCloseWithDeafBroker: Close does not wait for a broker that takes connections and never answers.
func TestCloseWithDeafBroker(t *testing.T) {
	t.Parallel()
	const topic = "order-events"
	listener := &deaf{}
	listener.hears.Store(true)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			var err error
			listener.Listener, err = net.Listen(network, address)
			return listener, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: cluster.ListenAddrs()}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), output(topic, newEvent("heard", "order-1"))); err != nil {
		t.Fatal(err)
	}

	listener.hears.Store(false)
	outcome := make(chan error, 1)
	if err := sink.SendAsync(t.Context(), output(topic, newEvent("unheard", "order-1")), func(err error) { outcome <- err }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := sink.Close(); err == nil || !strings.Contains(err.Error(), "not acknowledged") {
		t.Errorf("closed with %v", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("closed after %s", took)
	}
	cluster.Close()
	wantVerdict(t, <-outcome, function.Broken, "event unheard")
}
