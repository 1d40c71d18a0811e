package trigger_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// bootstrapKey makes the test binary a bootstrap, and names the file that it writes to.
const bootstrapKey = "TEST_BOOTSTRAP"

func TestMain(m *testing.M) {
	if journal := os.Getenv(bootstrapKey); journal != "" {
		beBootstrap(journal)
		return
	}
	// sarama's metrics, of the other door, keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// event is what a function gets, as far as the tests look at it.
type event struct {
	EventSource string              `json:"eventSource"`
	Records     map[string][]record `json:"records"`
	bytes       int
}

type record struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Value     string `json:"value"`
}

func (r record) value() string {
	b, _ := base64.StdEncoding.DecodeString(r.Value)
	return string(b)
}

// values are the values of the event, by partition.
func (e event) values() map[string][]string {
	all := map[string][]string{}
	for name, records := range e.Records {
		for _, r := range records {
			all[name] = append(all[name], r.value())
		}
	}
	return all
}

func (e event) count() int {
	n := 0
	for _, records := range e.Records {
		n += len(records)
	}
	return n
}

// lambda is a function: what it answers, what it fails with, or the service's error.
type lambda func(ctx context.Context, e event) (answer string, err error)

// errService, wrapped, is an error of the service and not of the function.
var errService = errors.New("throttled")

func (l lambda) Invoke(ctx context.Context, payload []byte) (process.Result, error) {
	e := event{bytes: len(payload)}
	if err := json.Unmarshal(payload, &e); err != nil {
		return process.Result{}, err
	}
	answer, failed := l(ctx, e)
	switch {
	case errors.Is(failed, errService) || failed != nil && ctx.Err() != nil:
		return process.Result{}, failed
	case failed != nil:
		return process.Result{RequestID: "request", Error: &process.FunctionError{Type: "Oops", Message: failed.Error()}}, nil //nolint:nilerr // what a function does wrong is a result
	}
	return process.Result{RequestID: "request", Payload: []byte(answer)}, nil
}

// failing answers that the records fail that match.
func failing(e event, match func(record) bool) string {
	type item map[string]map[string]any
	items := []item{}
	for _, name := range slices.Sorted(maps.Keys(e.Records)) {
		for _, r := range e.Records[name] {
			if match(r) {
				items = append(items, item{"itemIdentifier": {"partition": name, "offset": r.Offset}})
			}
		}
	}
	b, _ := json.Marshal(map[string]any{"batchItemFailures": items})
	return string(b)
}

// bench is a topic, and mappings that run on it.
type bench struct {
	testing.TB

	broker *runtimetest.Broker
	topic  string
	spec   template.Mapping
	opts   trigger.Options

	mu     sync.Mutex
	events []event
	told   []trigger.Event
}

func newBench(t testing.TB, partitions int32) *bench {
	t.Helper()
	broker := runtimetest.Kafka(t, nil)
	b := &bench{TB: t, broker: broker, topic: broker.NewTopic(t, partitions)}
	b.spec = template.Mapping{
		LogicalID: "Orders", Source: template.MSK, Stream: "arn:aws:kafka:eu-west-1:111122223333:cluster/mill/1",
		Topic: b.topic, Group: runtimetest.UniqueName(t), Start: template.TrimHorizon,
		BatchSize: 100, Window: 20 * time.Millisecond, Enabled: true, MaxAttempts: -1, Provisioned: true, PartialResponses: true,
	}
	b.opts = trigger.Options{
		Kafka:          kafkaclient.Config{Brokers: broker.Addrs},
		Backoff:        pipeline.Backoff{First: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		SessionTimeout: 6 * time.Second,
		Drain:          10 * time.Second,
		Observe: func(e trigger.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.told = append(b.told, e)
		},
	}
	return b
}

// start runs the mapping until stop is called or the test ends; it returns when the group has assigned partitions.
func (b *bench) start(f lambda) (stop func()) {
	b.Helper()
	return b.startWith(b.opts, f)
}

func (b *bench) startWith(o trigger.Options, f lambda) (stop func()) {
	b.Helper()
	recorded := func(ctx context.Context, e event) (string, error) {
		b.mu.Lock()
		b.events = append(b.events, e)
		b.mu.Unlock()
		return f(ctx, e)
	}
	return b.startInvoker(o, lambda(recorded))
}

func (b *bench) startInvoker(o trigger.Options, f trigger.Invoker) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	o.Started = func() { close(started) }
	go func() { ended <- trigger.Run(ctx, b.spec, f, &o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("Run: %v", err)
		}
	})
	b.Cleanup(stop)
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		b.Fatalf("Run: %v", err)
	case <-time.After(runtimetest.Patience):
		b.Fatal("the mapping has not started")
	}
	return stop
}

// produce writes values to a partition.
func (b *bench) produce(partition int32, values ...string) {
	b.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Key: []byte("key-" + v), Value: []byte(v)}
	}
	b.broker.ProduceTo(b, b.topic, partition, records...)
}

func (b *bench) committed(want map[int32]int64) {
	b.Helper()
	b.broker.AwaitCommitted(b, b.spec.Group, b.topic, want)
}

func (b *bench) seen() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// calls returns how often each value was sent.
func (b *bench) calls() map[string]int {
	n := map[string]int{}
	for _, e := range b.seen() {
		for _, values := range e.values() {
			for _, v := range values {
				n[v]++
			}
		}
	}
	return n
}

// kinds counts what was observed.
func (b *bench) kinds() map[trigger.Kind]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[trigger.Kind]int{}
	for _, e := range b.told {
		n[e.Kind]++
	}
	return n
}

func numbers(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

func done(context.Context, event) (string, error) { return "", nil }

func TestWhatIsDoneIsCommitted(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	b.start(done)
	b.produce(0, "a", "b")
	b.produce(2, "c")
	b.committed(map[int32]int64{0: 2, 1: 0, 2: 1})
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, b.calls()); diff != "" {
		t.Error(diff)
	}
	for partition, commit := range b.broker.Commits(t, b.spec.Group, b.topic) {
		if commit.Metadata != "" {
			t.Errorf("partition %d: metadata %q", partition, commit.Metadata)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	for name, tc := range map[string]struct {
		change func(b *bench)
		want   string
	}{
		"no topic":               {func(b *bench) { b.spec.Topic = "" }, "no topic"},
		"a batch of nothing":     {func(b *bench) { b.spec.BatchSize = 0 }, "BatchSize"},
		"itself as destination":  {func(b *bench) { b.spec.OnFailure = "kafka://" + b.topic }, "another topic"},
		"no folder":              {func(b *bench) { b.spec.OnFailure = "arn:aws:sns:::x" }, "Folder"},
		"a bad filter":           {func(b *bench) { b.spec.Filters = []string{"{"} }, "Orders"},
		"an unknown source":      {func(b *bench) { b.spec.Source = "Kinesis" }, "Source"},
		"an unknown topic":       {func(b *bench) { b.spec.Topic = "nowhere" }, "nowhere"},
		"an unknown destination": {func(b *bench) { b.spec.OnFailure = "kafka://nowhere" }, "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := &bench{TB: t, broker: b.broker, topic: b.topic, spec: b.spec, opts: b.opts}
			tc.change(other)
			err := trigger.Run(t.Context(), other.spec, lambda(done), &other.opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.opts.Kafka.Brokers = []string{"127.0.0.1:1"}
	err := trigger.Run(t.Context(), b.spec, lambda(done), &b.opts)
	if _, ok := errors.AsType[*cluster.UnreachableError](err); !ok {
		t.Errorf("nobody listens: %v", err)
	}
}
