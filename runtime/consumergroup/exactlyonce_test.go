package consumergroup_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// transactional is a bundle whose function copies each event to another topic, exactly once.
type transactional struct {
	*bundle

	out, letters string
	calls        atomic.Int64
}

const copied = "test.copied.v1"

func setupExactlyOnce(t *testing.T, partitions int32, handle func(context.Context, event.Event) error) *transactional {
	t.Helper()
	b := &transactional{bundle: setup(t, partitions, handle)}
	b.config.ExactlyOnce, b.config.Linger, b.config.TransactionRecords = true, time.Millisecond, 50
	b.out, b.letters = b.NewTopic(t, 2), b.NewTopic(t, 1)
	return b
}

func (b *transactional) copy(ctx context.Context, e event.Event) ([]event.Event, error) {
	b.calls.Add(1)
	if err := b.handle(ctx, e); err != nil {
		return nil, err
	}
	c := event.New()
	c.SetType(copied)
	c.SetExtension("partitionkey", e.ID())
	c.DataEncoded = e.Data()
	return []event.Event{c}, nil
}

// start runs a member with a transactional id of its own.
func (b *transactional) start(t *testing.T, id string) (stop func() error) {
	t.Helper()
	cluster := kafkaclient.Config{Brokers: b.Addrs}
	transactor, err := kafkasink.OpenTransactor(cluster, "test", b.group+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	stage := consumergroup.NewStage(transactor)
	letters := deadletter.NewWriter(stage, deadletter.Service{Name: "test"}, &deadletter.Options{Topic: b.letters})
	p, err := pipeline.New(b.group, []pipeline.Function{{
		Spec: function.Spec{Name: "copy", Topic: b.topic, Attempts: 3, Timeout: time.Minute,
			Emits: []string{copied}, Topics: map[string]string{copied: b.out},
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }},
		Handler: function.Raw(b.copy, eventType),
	}}, stage, letters, &pipeline.Options{
		Middleware:    middleware.Standard(pipeline.Backoff{First: b.backoff, Max: 10 * b.backoff}),
		Waits:         pipeline.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond},
		Transactional: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	config := b.config
	go func() {
		err := consumergroup.Run(ctx, cluster, config, p, &consumergroup.Options{Monitor: b, Stage: stage})
		ended <- errors.Join(err, transactor.Close())
	}()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	return stop
}

func causes(records []*kgo.Record) map[string]int {
	seen := map[string]int{}
	for _, r := range records {
		for _, h := range r.Headers {
			if h.Key == "ce_causationid" {
				seen[string(h.Value)]++
			}
		}
	}
	return seen
}

func requireOnce(t *testing.T, seen map[string]int, n int) {
	t.Helper()
	if len(seen) != n {
		t.Errorf("%d events led to outputs, want %d", len(seen), n)
	}
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		if seen[id] != 1 {
			t.Errorf("event %s led to %d outputs", id, seen[id])
		}
	}
}

func TestOutputsDeadLettersAndOffsetsAreOneTransaction(t *testing.T) {
	t.Parallel()
	b := setupExactlyOnce(t, 3, func(_ context.Context, e event.Event) error {
		if strings.HasSuffix(e.ID(), "7") {
			return errors.New("always")
		}
		return nil
	})
	b.Produce(t, b.topic, records(500, 50)...)
	stop := b.start(t, "")
	requireOnce(t, causes(b.Records(t, b.out, 450)), 450)
	letters := b.Records(t, b.letters, 50)
	if len(letters) != 50 {
		t.Errorf("%d dead letters, want 50", len(letters))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, offset := range b.Committed(t, b.group, b.topic) {
		sum += offset
	}
	if sum < 500 {
		t.Errorf("committed %d of 500 records", sum)
	}
	if n := b.calls.Load(); n != 450+3*50 {
		t.Errorf("%d calls, want %d", n, 450+3*50)
	}
}

func TestMembersThatComeAndGoEmitExactlyOnce(t *testing.T) {
	t.Parallel()
	const n = 2000
	for _, strategy := range []string{"cooperative", "eager"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			var handled atomic.Int64
			b := setupExactlyOnce(t, 3, func(context.Context, event.Event) error {
				handled.Add(1)
				return nil
			})
			b.config.Strategy = strategy
			b.config.Workers, b.config.WindowRecords = 2, 20
			b.Produce(t, b.topic, records(n, 100)...)
			b.start(t, "-stays")
			for i := range 5 {
				until := int64(n / 8 * (i + 1))
				runtimetest.Eventually(t, fmt.Sprintf("%d handled", until), func() bool { return handled.Load() >= until })
				stop := b.start(t, fmt.Sprintf("-%d", i))
				runtimetest.Eventually(t, "some more handled", func() bool { return handled.Load() >= until+10 })
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			requireOnce(t, causes(b.Records(t, b.out, n)), n)
		})
	}
}

func TestAnOutputThatItsTopicRefusesMakesADeadLetter(t *testing.T) {
	t.Parallel()
	b := setupExactlyOnce(t, 1, func(context.Context, event.Event) error { return nil })
	b.out = runtimetest.UniqueName(t)
	b.CreateTopic(t, b.out, 1, map[string]string{"max.message.bytes": "2000"})
	large := record("large", "k")
	large.Value = []byte(strings.Repeat("x", 5000))
	b.Produce(t, b.topic, record("first", "k"), large, record("last", "k"))
	b.start(t, "")
	requireOnce(t, causes(b.Records(t, b.out, 2)), 2)
	letters := b.Records(t, b.letters, 1)
	if len(letters) != 1 || string(letters[0].Value) != string(large.Value) {
		t.Errorf("%d dead letters, want the large event's", len(letters))
	}
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 3})
	if n := b.calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3: a transaction is tried again without its handlers", n)
	}
}
