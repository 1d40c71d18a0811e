package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/frontier"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

const eventType = "test.in.v1"

// produceEvents writes events with the ids from to to-1, each under a key of its own.
func (b *bench) produceEvents(from, to int) {
	b.Helper()
	for i := from; i < to; i++ {
		id := fmt.Sprint(i)
		b.broker.ProduceTo(b, b.topic, 0, &kgo.Record{Key: []byte(id), Value: []byte(id), Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)},
			{Key: "ce_source", Value: []byte("/test")}, {Key: "ce_type", Value: []byte(eventType)},
		}})
	}
}

// otherDoor runs the consumer group door as a member of the same group.
func (b *bench) otherDoor(log *slog.Logger, handle func(id string) error) (stop func()) {
	b.Helper()
	p, err := pipeline.New(b.spec.Group, []pipeline.Function{{
		Spec: function.Spec{Name: "test", Topic: b.topic, Attempts: 100, Timeout: time.Minute,
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }},
		Handler: function.Raw(func(_ context.Context, e cloudevent.Event) ([]cloudevent.Event, error) { return nil, handle(e.ID()) }, eventType),
	}}, noOutputs{}, noOutputs{}, &pipeline.Options{
		Middleware: middleware.Standard(pipeline.Backoff{First: time.Hour, Max: time.Hour}),
		Waits:      pipeline.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond},
	})
	if err != nil {
		b.Fatal(err)
	}
	config := consumergroup.Config{
		Workers: 16, WindowRecords: 1000, WindowBytes: 1 << 20, DrainTimeout: 5 * time.Second,
		CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second, Heartbeat: 100 * time.Millisecond,
		Rebalance: 10 * time.Second, Start: "oldest",
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- consumergroup.Run(ctx, kafkaclient.Config{Brokers: b.broker.Addrs}, config, p, &consumergroup.Options{Log: log})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("the other door: %v", err)
		}
	})
	b.Cleanup(stop)
	return stop
}

type noOutputs struct{}

func (noOutputs) Send(context.Context, ...pipeline.Output) error { return errors.New("unexpected") }
func (noOutputs) Write(context.Context, pipeline.Failure) error  { return errors.New("unexpected") }

// times counts what was done, by id.
type times struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *times) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[id]++
}

func (c *times) of(id int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[fmt.Sprint(id)]
}

// The commits of the consumer group door tell in their metadata what is finished beyond the offset. A mapping cannot know
// that: it sends those records again, and skips none. Its own commits have no metadata, so the other door takes nothing
// from them but the offset.
func TestDoorsTakeOverFromEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	var group, lambda times
	var log lockedBuilder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	b.produceEvents(0, 10)
	stop := b.otherDoor(logger, func(id string) error {
		if id == "3" {
			return errors.New("not here")
		}
		group.add(id)
		return nil
	})
	b.committedWithRuns()
	stop()

	// The same records fail on Lambda, and then one more.
	stop = b.start(func(_ context.Context, e event) (string, error) {
		for _, r := range e.Records[b.topic+"-0"] {
			if r.Offset != 3 && r.Offset != 7 {
				lambda.add(r.value())
			}
		}
		return failing(e, func(r record) bool { return r.Offset == 3 || r.Offset == 7 }), nil
	})
	b.seenOffset(9)
	stop()
	b.committed(map[int32]int64{0: 3})

	// The mapping moved nothing: what the group's door knew of the records behind 3 still holds, for it did them itself.
	stop = b.otherDoor(logger, func(id string) error { group.add(id); return nil })
	b.committed(map[int32]int64{0: 10})
	stop()
	for i := range 10 {
		if group.of(i) != 1 {
			t.Errorf("event %d was handled %d times by the group", i, group.of(i))
		}
	}

	// Now the mapping leaves a commit, below records that it has done.
	b.produceEvents(10, 20)
	stop = b.start(func(_ context.Context, e event) (string, error) {
		for _, r := range e.Records[b.topic+"-0"] {
			if r.Offset != 15 {
				lambda.add(r.value())
			}
		}
		return failing(e, func(r record) bool { return r.Offset == 15 }), nil
	})
	b.committed(map[int32]int64{0: 15})
	b.seenOffset(19)
	stop()
	b.otherDoor(logger, func(id string) error { group.add(id); return nil })
	b.committed(map[int32]int64{0: 20})
	for i := 10; i < 20; i++ {
		if group.of(i)+lambda.of(i) == 0 {
			t.Errorf("event %d was handled by nobody", i)
		}
		if i >= 15 && group.of(i) != 1 {
			t.Errorf("event %d beyond the commit was handled %d times", i, group.of(i))
		}
	}
	if strings.Contains(log.String(), "not millrace's") {
		t.Errorf("the other door wonders about metadata:\n%s", log.String())
	}
}

// committedWithRuns waits until the group's door has told of what is finished beyond 3.
func (b *bench) committedWithRuns() {
	b.Helper()
	runtimetest.Eventually(b, "a commit with metadata for offset 3", func() bool {
		state, err := frontier.Parse(b.broker.Commits(b, b.spec.Group, b.topic)[0].Metadata)
		return err == nil && state.Next == 3 && len(state.Finished) == 1 && state.Finished[0].To == 9
	})
}

func (b *bench) seenOffset(offset int64) {
	b.Helper()
	runtimetest.Eventually(b, fmt.Sprintf("offset %d in an event", offset), func() bool {
		for _, e := range b.seen() {
			for _, r := range e.Records[b.topic+"-0"] {
				if r.Offset == offset {
					return true
				}
			}
		}
		return false
	})
}

// Members of both kinds may share a group at the same time.
func TestDoorsShareAGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	var handled times
	stop := b.otherDoor(slog.New(slog.DiscardHandler), func(id string) error { handled.add(id); return nil })
	b.produceEvents(0, 50)
	b.committed(map[int32]int64{0: 50})
	done := b.start(func(_ context.Context, e event) (string, error) {
		for _, r := range e.Records[b.topic+"-0"] {
			handled.add(r.value())
		}
		return "", nil
	})
	b.produceEvents(50, 100)
	stop()
	b.produceEvents(100, 150)
	b.committed(map[int32]int64{0: 150})
	stop = b.otherDoor(slog.New(slog.DiscardHandler), func(id string) error { handled.add(id); return nil })
	b.produceEvents(150, 200)
	done()
	b.produceEvents(200, 250)
	b.committed(map[int32]int64{0: 250})
	stop()
	for i := range 250 {
		if handled.of(i) != 1 {
			t.Errorf("event %d was handled %d times without a failure", i, handled.of(i))
		}
	}
}
