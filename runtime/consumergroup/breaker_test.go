package consumergroup_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/rcrowley/go-metrics"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

// The time of these tests is simulated: broker, network, member and handlers live in one bubble of testing/synctest.
// Time passes there only while every goroutine waits for a channel or a timer. sarama holds the mutex of a connection
// from a request to its answer, so a heartbeat on the connection where a fetch waits for records would wait for the mutex,
// and time would stand still. The partitions are therefore led by another broker than the group's coordinator.

const (
	outage     = 10 * time.Minute
	recordsIn  = 300
	keysIn     = 30
	partitions = 3
	workers    = 64
)

func TestADependencyDownForTenMinutesCostsNoAttemptNoLetterAndNoRebalance(t *testing.T) {
	t.Parallel()
	// sarama's metrics start one goroutine for the life of the process: it must not belong to the bubble.
	metrics.NewMeter().Stop()
	synctest.Test(t, func(t *testing.T) {
		w := newSimulation(t)
		w.produce(t)
		stop := w.start(t)

		time.Sleep(outage)
		w.assertOutage(t)
		w.setDown(false)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		w.assertHandledInOrder(t)
		w.assertCommitted(t)
		// A goroutine of sarama sleeps for 100 ms before it sees that it is to end.
		time.Sleep(time.Second)
	})
}

// simulation is a cluster in memory, a member of a group, and what they did.
type simulation struct {
	network kfake.VirtualNetwork
	cluster *kfake.Cluster
	topic   string

	mu   sync.Mutex
	down bool
	// calls are the handler's; outcomes what the pipeline told of those that succeeded.
	calls    []call
	done     []done
	letters  int
	joins    int
	sessions map[int32]int
	changes  []breaker.Change
}

// call is a call of the handler.
type call struct {
	id    string
	begin time.Time
	end   time.Time
	err   error
}

type done struct {
	id, key string
	attempt int
}

func newSimulation(t *testing.T) *simulation {
	t.Helper()
	s := &simulation{topic: "in", down: true, sessions: map[int32]int{}}
	var err error
	s.cluster, err = kfake.NewCluster(kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.ListenFn(s.network.Listen),
		kfake.SeedTopics(partitions, s.topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cluster.Close)
	leader := 1 - s.cluster.CoordinatorFor("group")
	for p := range int32(partitions) {
		if err := s.cluster.MoveTopicPartition(s.topic, p, leader); err != nil {
			t.Fatal(err)
		}
	}
	s.cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		s.note(func() { s.joins++ })
		return nil, nil, false
	})
	s.cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		s.note(func() { s.sessions[r.(*kmsg.HeartbeatRequest).Generation]++ })
		return nil, nil, false
	})
	return s
}

func (s *simulation) note(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
}

func (s *simulation) setDown(down bool) { s.note(func() { s.down = down }) }

// client returns a client of the cluster.
func (s *simulation) client(t *testing.T) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.Dialer(s.network.DialContext))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *simulation) produce(t *testing.T) {
	t.Helper()
	c := s.client(t)
	defer c.Close()
	rs := records(recordsIn, keysIn)
	for _, r := range rs {
		r.Topic = s.topic
	}
	if err := c.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// handle is the function: it needs 20 ms to find out whether the mail server answers.
func (s *simulation) handle(_ context.Context, e event.Event) ([]event.Event, error) {
	c := call{id: e.ID(), begin: time.Now()}
	time.Sleep(20 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		c.err = function.Unavailable("smtp", errors.New("connection refused"))
	}
	c.end = time.Now()
	s.calls = append(s.calls, c)
	return nil, c.err
}

func (s *simulation) Send(context.Context, ...pipeline.Output) error {
	return errors.New("nothing is emitted here")
}

func (s *simulation) Write(context.Context, pipeline.Failure) error {
	s.note(func() { s.letters++ })
	return nil
}

func (s *simulation) Observe(o *pipeline.Outcome) {
	if o.Verdict == function.Done {
		s.note(func() { s.done = append(s.done, done{o.Event.ID(), string(o.Record.Key), o.Attempt}) })
	}
}

// start runs a member. The function it returns stops it and returns what Run did.
func (s *simulation) start(t *testing.T) func() error {
	t.Helper()
	circuits := breaker.NewSet(&breaker.Options{
		Log:      slog.New(slog.DiscardHandler),
		OnChange: func(c breaker.Change) { s.note(func() { s.changes = append(s.changes, c) }) },
	})
	p, err := pipeline.New("group", []pipeline.Function{{
		Spec: function.Spec{Name: "mail", Topic: s.topic,
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }},
		Handler: function.Raw(s.handle, eventType),
	}}, s, s, &pipeline.Options{
		Middleware: middleware.WithCircuits(circuits, pipeline.Backoff{First: 200 * time.Millisecond, Max: 30 * time.Second}),
		Observers:  []pipeline.Observer{s},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := consumergroup.Config{
		Workers: workers, WindowRecords: 1000, WindowBytes: 1 << 20, DrainTimeout: 20 * time.Second, CommitInterval: time.Second,
		SessionTimeout: 30 * time.Second, Heartbeat: 3 * time.Second, Rebalance: time.Minute, Start: "oldest",
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- consumergroup.Run(ctx, kafkaclient.Config{Brokers: s.cluster.ListenAddrs(), Dial: s.dial}, config, p,
			&consumergroup.Options{Log: slog.New(slog.DiscardHandler)})
	}()
	return func() error { cancel(); return <-ended }
}

func (s *simulation) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := s.network.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	b := &bufferedConn{Conn: c, out: make(chan []byte, 1000), closed: make(chan struct{})}
	go b.pump()
	return b, nil
}

// assertOutage checks what happened while the dependency was down.
func (s *simulation) assertOutage(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("%d calls, %d changes of the circuit, %d joins, heartbeats by generation %v", len(s.calls), len(s.changes), s.joins, s.sessions)
	if len(s.done) != 0 || s.letters != 0 {
		t.Errorf("%d records handled and %d dead letters while the dependency was down", len(s.done), s.letters)
	}
	if s.joins < 1 || len(s.sessions) != 1 {
		t.Errorf("the group went through generations %v", s.sessions)
	}
	for _, beats := range s.sessions {
		if want := int(outage/(3*time.Second)) - 5; beats < want {
			t.Errorf("%d heartbeats in %s, want %d", beats, outage, want)
		}
	}
	// At most one call per worker was under way when the circuit opened; from then on there is a probe each 30 s.
	var probes []call
	for _, c := range s.calls {
		if c.begin.After(s.changes[0].NextProbe) {
			probes = append(probes, c)
		}
	}
	if early := len(s.calls) - len(probes); early > 5+workers || len(probes) < 17 || len(probes) > 20 {
		t.Errorf("%d calls before the circuit opened, %d probes", early, len(probes))
	}
	for i, c := range probes[1:] {
		if pause := c.begin.Sub(probes[i].end); pause < 30*time.Second {
			t.Errorf("a probe %s after the one before", pause)
		}
	}
}

// assertHandledInOrder checks that each record was handled once, at its first attempt, in the order of its key.
func (s *simulation) assertHandledInOrder(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	byKey := map[string][]string{}
	for _, d := range s.done {
		byKey[d.key] = append(byKey[d.key], d.id)
		if d.attempt != 1 {
			t.Errorf("event %s was handled at attempt %d: the outage spent some", d.id, d.attempt)
		}
	}
	if len(s.done) != recordsIn || len(byKey) != keysIn || s.letters != 0 {
		t.Errorf("%d records of %d keys handled, %d dead letters", len(s.done), len(byKey), s.letters)
	}
	for key, ids := range byKey {
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != recordsIn/keysIn {
			t.Errorf("%s was handled in the order %v", key, ids)
		}
	}
	if len(s.sessions) != 1 {
		t.Errorf("the group went through generations %v", s.sessions)
	}
	if last := s.changes[len(s.changes)-1]; last.To != breaker.Closed {
		t.Errorf("the circuit is %s", last.To)
	}
}

// assertCommitted checks that the group has committed the end of each partition.
func (s *simulation) assertCommitted(t *testing.T) {
	t.Helper()
	c := s.client(t)
	defer c.Close()
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = s.topic, []int32{0, 1, 2}
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group, request.Topics = "group", append(request.Topics, topic)
	response, err := request.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	committed := map[int32]int64{}
	sum := int64(0)
	for _, p := range response.Topics[0].Partitions {
		committed[p.Partition] = p.Offset
		sum += p.Offset
	}
	if sum != recordsIn || len(slices.Collect(maps.Keys(committed))) != partitions {
		t.Errorf("committed %v of %d records", committed, recordsIn)
	}
}

// bufferedConn takes what is written at once, as a socket does; a pipe would make the writer wait for the reader.
type bufferedConn struct {
	net.Conn

	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *bufferedConn) Write(p []byte) (int, error) {
	select {
	case c.out <- bytes.Clone(p):
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *bufferedConn) pump() {
	for {
		select {
		case p := <-c.out:
			if _, err := c.Conn.Write(p); err != nil {
				return
			}
		case <-c.closed:
			return
		}
	}
}

// SetWriteDeadline does nothing: Write does not wait.
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets that of Read.
func (c *bufferedConn) SetDeadline(at time.Time) error { return c.SetReadDeadline(at) }

func (c *bufferedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
