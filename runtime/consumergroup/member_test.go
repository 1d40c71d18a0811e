package consumergroup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const eventType = "test.in.v1"

// bundle is a topic, a group, and what its members did.
type bundle struct {
	*runtimetest.Broker

	topic, group string
	config       consumergroup.Config
	order        function.Order
	handle       func(context.Context, event.Event) error

	mu       sync.Mutex
	handled  []string
	letters  []pipeline.Failure
	writeErr error
	stuck    map[string]error

	// backoff is what the first retry waits. Default: 1 ms.
	backoff time.Duration

	// draining gets a token for each claim that has ended its intake.
	draining chan struct{}
}

func setup(t *testing.T, partitions int32, handle func(context.Context, event.Event) error) *bundle {
	t.Helper()
	b := &bundle{Broker: runtimetest.Kafka(t, nil), group: runtimetest.UniqueName(t), handle: handle,
		draining: make(chan struct{}, 100), stuck: map[string]error{}, backoff: time.Millisecond}
	b.topic = b.NewTopic(t, partitions)
	b.config = consumergroup.Config{
		Workers: 16, WindowRecords: 1000, WindowBytes: 1 << 20, DrainTimeout: 5 * time.Second,
		CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second, Heartbeat: 100 * time.Millisecond,
		Rebalance: 10 * time.Second, Start: "oldest",
	}
	return b
}

func (b *bundle) run(ctx context.Context, e event.Event) ([]event.Event, error) {
	err := b.handle(ctx, e)
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.handled = append(b.handled, e.ID())
	}
	return nil, err
}

func (b *bundle) Send(context.Context, ...pipeline.Output) error {
	return errors.New("nothing is emitted here")
}

func (b *bundle) Write(_ context.Context, f pipeline.Failure) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writeErr != nil {
		return b.writeErr
	}
	// What a failure points to is valid until Write returns.
	record := *f.Record
	f.Record = &record
	b.letters = append(b.letters, f)
	return nil
}

// The bundle is the handler of its members' logs.

func (b *bundle) Enabled(context.Context, slog.Level) bool { return true }
func (b *bundle) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *bundle) WithGroup(string) slog.Handler            { return b }

func (b *bundle) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "letting the partition go") {
		b.draining <- struct{}{}
	}
	return nil
}

// The bundle is its members' monitor.

func (b *bundle) Joined(string)                    {}
func (b *bundle) Left(string)                      {}
func (b *bundle) Lag(string, string, int32, int64) {}
func (b *bundle) Committing(string, error)         {}
func (b *bundle) Released(string, string, int32)   {}

func (b *bundle) Stuck(_, topic string, partition int32, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stuck[fmt.Sprintf("%s/%d", topic, partition)] = err
}

func (b *bundle) stuckAt(topic string, partition int32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stuck[fmt.Sprintf("%s/%d", topic, partition)]
}

// buried returns the dead letters.
func (b *bundle) buried() []pipeline.Failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.letters)
}

// ids returns the ids of the events that were handled, in the order in which their handlers ended.
func (b *bundle) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.handled)
}

// start runs a member. The function it returns stops it, and returns what Run did; it runs at the latest when the test
// ends.
func (b *bundle) start(t *testing.T) (stop func() error) {
	t.Helper()
	p, err := pipeline.New(b.group, []pipeline.Function{{
		Spec: function.Spec{Name: "test", Topic: b.topic, Order: b.order, Attempts: 3, Timeout: time.Minute,
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }},
		Handler: function.Raw(b.run, eventType),
	}}, b, b, &pipeline.Options{
		Middleware: middleware.Standard(pipeline.Backoff{First: b.backoff, Max: 10 * b.backoff}),
		Waits:      pipeline.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	config := b.config
	go func() {
		ended <- consumergroup.Run(ctx, kafkaclient.Config{Brokers: b.Addrs}, config, p, &consumergroup.Options{Log: slog.New(b), Monitor: b})
	}()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	return stop
}

// record is an event in binary mode.
func record(id, key string) *kgo.Record {
	r := &kgo.Record{Headers: []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte("/test")}, {Key: "ce_type", Value: []byte(eventType)},
	}}
	if key != "" {
		r.Key = []byte(key)
	}
	return r
}

func records(n, keys int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = record(fmt.Sprintf("%06d", i), fmt.Sprintf("key-%d", i%keys))
	}
	return rs
}

func (b *bundle) awaitHandled(t *testing.T, n int) {
	t.Helper()
	runtimetest.Eventually(t, fmt.Sprintf("%d events handled", n), func() bool { return len(b.ids()) >= n })
}
