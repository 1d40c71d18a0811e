package conformance

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// stage is what a case plays on: a cluster, topics and a group of its own, the program, and the journal of its handlers.
// Cases change its fields before they start the first process.
type stage struct {
	*runtimetest.Broker

	door    Door
	program Program
	// in, out and letters are topics; group is the consumer group of the program's function.
	in, out, letters, group string

	journal *journal
	// client is for requests, once one was made.
	client *kgo.Client
	// ends are the offsets after the last record that was sent, by topic and partition.
	ends map[string]map[int32]int64

	mu        sync.Mutex
	script    answerer
	processes int
	// killed are the numbers of processes.
	killed []int
}

// The times that processes of the suite run by: short, and long enough for four processors that do much else.
const (
	sessionTimeout = 6 * time.Second
	drainTimeout   = 5 * time.Second
	shortTimeout   = 50 * time.Millisecond
)

// newStage returns a stage with one function, which reads topic in of the given number of partitions, publishes to out,
// tries a record three times, and does whatever [stage.act] says; at first it succeeds.
func newStage(t *testing.T, d Door, partitions int32) *stage {
	t.Helper()
	return newStageOn(t, d, runtimetest.Kafka(t, nil), partitions)
}

func newStageOn(t *testing.T, d Door, broker *runtimetest.Broker, partitions int32) *stage {
	t.Helper()
	s := &stage{
		Broker:  broker,
		door:    d,
		group:   runtimetest.UniqueName(t),
		journal: newJournal(),
		ends:    map[string]map[int32]int64{},
		script:  succeed,
	}
	s.in, s.out, s.letters = s.NewTopic(t, partitions), s.NewTopic(t, 1), s.NewTopic(t, 1)
	s.program = Program{
		Brokers:     s.Addrs,
		DeadLetters: s.letters,
		Functions:   []Function{{Name: "conformance", Topic: s.in, Output: s.out, Group: s.group, Attempts: 3, Timeout: time.Minute}},
		Folder:      t.TempDir(),
		Variables: map[string]string{
			"HTTP_ADDR":                "off",
			"LOG_LEVEL":                "debug",
			"LOG_FORMAT":               "text",
			"COMMIT_INTERVAL":          "20ms",
			"RETRY_FIRST_DELAY":        "1ms",
			"RETRY_MAX_DELAY":          "20ms",
			"DRAIN_TIMEOUT":            drainTimeout.String(),
			"KAFKA_HEARTBEAT_INTERVAL": "100ms",
			"KAFKA_SESSION_TIMEOUT":    sessionTimeout.String(),
			"KAFKA_REBALANCE_TIMEOUT":  "10s",
		},
	}
	return s
}

// function returns the program's first function, to be changed before the program starts.
func (s *stage) function() *Function { return &s.program.Functions[0] }

// act decides what handlers do from now on.
func (s *stage) act(script answerer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// perform does what a handler does: it notes the call and asks the script.
func (s *stage) perform(ctx context.Context, c Call) (err error) {
	s.mu.Lock()
	script := s.script
	s.mu.Unlock()
	e := s.journal.begin(c)
	err = errPanicked
	defer func() { s.journal.finish(e, err) }()
	err = script(ctx, e.Call)
	return err
}

// prepare returns the next process, which is not started, and its variables.
func (s *stage) prepare(t *testing.T) (p *process, variables map[string]string) {
	t.Helper()
	s.mu.Lock()
	s.processes++
	p = newProcess(t, s.processes)
	s.mu.Unlock()
	variables = maps.Clone(s.program.Variables)
	maps.Copy(variables, s.door.Environment(s.program))
	return p, variables
}

// observe gives processes an address at which they tell their readiness, and returns it.
func (s *stage) observe(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr = l.Addr().String()
	s.program.Variables["HTTP_ADDR"] = addr
	return addr
}

// send writes records to topic in, each to the partition of its key.
func (s *stage) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	s.Produce(t, s.in, records...)
	s.sent(records)
}

// sendTo writes records to one partition of a topic.
func (s *stage) sendTo(t *testing.T, topic string, partition int32, records ...*kgo.Record) {
	t.Helper()
	s.ProduceTo(t, topic, partition, records...)
	s.sent(records)
}

func (s *stage) sent(records []*kgo.Record) {
	for _, r := range records {
		if s.ends[r.Topic] == nil {
			s.ends[r.Topic] = map[int32]int64{}
		}
		s.ends[r.Topic][r.Partition] = max(s.ends[r.Topic][r.Partition], r.Offset+1)
	}
}

// awaitHandled waits until n different events were handled.
func (s *stage) awaitHandled(t *testing.T, n int) {
	t.Helper()
	runtimetest.Eventually(t, fmt.Sprintf("%d events handled", n), func() bool { return s.journal.handled() >= n })
}

// awaitEnds waits until all that was sent to a topic is committed.
func (s *stage) awaitEnds(t *testing.T, topic string) {
	t.Helper()
	s.AwaitCommitted(t, s.group, topic, s.ends[topic])
}

// awaitCalls waits until handlers were called n times for one event.
func (s *stage) awaitCalls(t *testing.T, id string, n int) {
	t.Helper()
	runtimetest.Eventually(t, fmt.Sprintf("call %d for %s", n, id), func() bool { return len(s.journal.callsOf(id)) >= n })
}

// awaitOffset waits until an offset of topic in is committed for a partition.
func (s *stage) awaitOffset(t *testing.T, partition int32, offset int64) {
	t.Helper()
	runtimetest.Eventually(t, fmt.Sprintf("offset %d committed for partition %d", offset, partition), func() bool {
		return s.Committed(t, s.group, s.in)[partition] == offset
	})
}

// request sends an administrative request, to the node that it is for. The error that its answer may hold fails the test.
func (s *stage) request(t *testing.T, request kmsg.Request) {
	t.Helper()
	for shard := range slices.Values(s.admin(t).RequestSharded(t.Context(), request)) {
		if shard.Err != nil {
			t.Fatalf("%T: %v", request, shard.Err)
		}
	}
}

// admin returns a client of the cluster.
func (s *stage) admin(t *testing.T) *kgo.Client {
	t.Helper()
	if s.client == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(s.Addrs...))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		s.client = client
	}
	return s.client
}
