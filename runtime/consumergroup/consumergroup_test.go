package consumergroup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestEachRecordIsHandledOnceAndCommitted(t *testing.T) {
	t.Parallel()
	b := setup(t, 3, func(context.Context, event.Event) error { return nil })
	b.Produce(t, b.topic, records(2000, 50)...)
	b.start(t)
	b.awaitHandled(t, 2000)
	ids := b.ids()
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 2000 {
		t.Errorf("%d different events handled, want 2000", len(slices.Compact(ids)))
	}
	runtimetest.Eventually(t, "everything committed", func() bool {
		var sum int64
		for _, next := range b.Committed(t, b.group, b.topic) {
			sum += next
		}
		return sum == 2000
	})
}

func TestTheCommitNeverPassesAnUnfinishedRecord(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	b := setup(t, 1, func(_ context.Context, e event.Event) error {
		if e.ID() == "000005" && broken.Load() {
			return function.Unavailable("db", errors.New("down"))
		}
		return nil
	})
	b.Produce(t, b.topic, records(20, 20)...)
	stop := b.start(t)
	b.awaitHandled(t, 19)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 5})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 5})

	broken.Store(false)
	b.start(t)
	runtimetest.Eventually(t, "event 5 handled after the restart", func() bool { return slices.Contains(b.ids(), "000005") })
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 20})
	if len(b.letters) != 0 {
		t.Errorf("dead letters %v", b.letters)
	}
}

func TestTheOrderOfAKeyIsKeptThroughRetriesWhileOtherKeysFlow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		order function.Order
		lane  func(id string) string
	}{
		{"by key", function.ByKey, func(id string) string { return id[:2] }},
		{"by partition", function.ByPartition, func(string) string { return "all" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var (
				mu      sync.Mutex
				failed  = map[string]bool{}
				running = map[string]int{}
			)
			b := setup(t, 1, nil)
			b.order = tc.order
			b.handle = func(_ context.Context, e event.Event) error {
				lane := tc.lane(e.ID())
				mu.Lock()
				defer mu.Unlock()
				if running[lane]++; running[lane] > 1 {
					t.Errorf("two records of lane %s at the same time", lane)
				}
				mu.Unlock()
				mu.Lock()
				running[lane]--
				if strings.HasSuffix(e.ID(), "3") && !failed[e.ID()] {
					failed[e.ID()] = true
					return errors.New("fails once")
				}
				return nil
			}
			var rs []*kgo.Record
			for i := range 50 {
				for key := range 10 {
					rs = append(rs, record(fmt.Sprintf("%02d-%04d", key, i), fmt.Sprint(key)))
				}
			}
			b.Produce(t, b.topic, rs...)
			b.start(t)
			b.awaitHandled(t, len(rs))
			byLane := map[string][]string{}
			for _, id := range b.ids() {
				byLane[id[:2]] = append(byLane[id[:2]], id)
			}
			for lane, ids := range byLane {
				if len(ids) != 50 || !slices.IsSorted(ids) {
					t.Errorf("key %s was handled in the order %v", lane, ids)
				}
			}
		})
	}
}

func TestRecordsWithoutAKeyKeepThePartitionsOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(context.Context, event.Event) error { return nil })
	var rs []*kgo.Record
	for i := range 300 {
		rs = append(rs, record(fmt.Sprintf("%04d", i), ""))
	}
	b.Produce(t, b.topic, rs...)
	b.start(t)
	b.awaitHandled(t, len(rs))
	if !slices.IsSorted(b.ids()) {
		t.Errorf("handled in the order %v", b.ids())
	}
}

func TestAParkedKeyDoesNotHoldOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(_ context.Context, e event.Event) error {
		if e.ID() == "000000" {
			return function.RetryAfter(time.Hour, errors.New("later"))
		}
		return nil
	})
	b.Produce(t, b.topic, records(500, 100)...)
	b.start(t)
	b.awaitHandled(t, 495)
	for _, id := range b.ids() {
		if strings.HasSuffix(id, "00") {
			t.Errorf("%s of the parked key was handled", id)
		}
	}
}

func TestADeadLetterThatCannotBeWrittenHoldsTheCommit(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(_ context.Context, e event.Event) error {
		if e.ID() == "000001" {
			return function.Permanent(errors.New("never"))
		}
		return nil
	})
	b.writeErr = errors.New("no replicas")
	b.Produce(t, b.topic, records(3, 3)...)
	b.start(t)
	b.awaitHandled(t, 2)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 1})
	b.mu.Lock()
	b.writeErr = nil
	b.mu.Unlock()
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 3})
	if len(b.letters) != 1 || b.letters[0].Class != "permanent" {
		t.Errorf("dead letters %+v", b.letters)
	}
}

func TestPoisonIsDeadLetteredWithItsBytesAndThePartitionMovesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(context.Context, event.Event) error { return nil })
	poison := &kgo.Record{Value: []byte{0xff, 0}, Headers: []kgo.RecordHeader{
		{Key: "a", Value: []byte{0, 255}}, {Key: "a", Value: nil}, {Key: "", Value: []byte{}},
	}}
	b.Produce(t, b.topic, poison, record("good", "k"))
	b.start(t)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 2})
	if len(b.letters) != 1 || b.letters[0].Class != function.ClassUndecodable || b.letters[0].Attempts != 0 {
		t.Fatalf("dead letters %+v", b.letters)
	}
}

func TestStoppingGivesRunningHandlersTheirTimeAndCommitsWhatIsFinished(t *testing.T) {
	t.Parallel()
	var (
		running = make(chan struct{}, 100)
		release = make(chan struct{})
	)
	b := setup(t, 1, func(context.Context, event.Event) error {
		running <- struct{}{}
		<-release
		return nil
	})
	b.config.Workers = 4
	b.Produce(t, b.topic, records(100, 100)...)
	stop := b.start(t)
	for range 4 {
		<-running
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	<-b.draining
	select {
	case err := <-stopped:
		t.Fatalf("Run returned %v while handlers ran", err)
	default:
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := len(b.ids()); n != 4 {
		t.Errorf("%d events were handled, want the 4 that ran", n)
	}
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 4})
}

func TestAHandlerThatOutlastsTheDrainIsCancelledAndItsRecordLeft(t *testing.T) {
	t.Parallel()
	running, ended := make(chan struct{}), make(chan error, 1)
	b := setup(t, 1, func(ctx context.Context, _ event.Event) error {
		close(running)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	b.config.DrainTimeout = 50 * time.Millisecond
	b.Produce(t, b.topic, record("slow", "k"))
	stop := b.start(t)
	<-running
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context ended with %v", err)
	}
	if got := b.Committed(t, b.group, b.topic); got[0] != 0 {
		t.Errorf("committed %v although nothing was finished", got)
	}
}

func TestARebalanceLosesNothingAndKeepsTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	var first sync.Map // the order in which ids of a key were first handled
	b := setup(t, 6, func(context.Context, event.Event) error { return nil })
	total := 3000
	half := records(total, 60)
	b.Produce(t, b.topic, half[:total/2]...)
	stop := b.start(t)
	b.awaitHandled(t, total/4)
	b.start(t)
	b.Produce(t, b.topic, half[total/2:]...)
	b.awaitHandled(t, total*3/4)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	runtimetest.Eventually(t, "every event handled", func() bool {
		ids := b.ids()
		slices.Sort(ids)
		return len(slices.Compact(ids)) == total
	})
	// Redelivered events may repeat; each event's first handling must come in the order of its key.
	last := map[int]int{}
	for _, id := range b.ids() {
		var i int
		if _, err := fmt.Sscanf(id, "%06d", &i); err != nil {
			t.Fatal(err)
		}
		if _, seen := first.LoadOrStore(id, true); seen {
			continue
		}
		if newest, ok := last[i%60]; ok && newest > i {
			t.Errorf("key %d: event %d was first handled after event %d", i%60, i, newest)
		}
		last[i%60] = i
	}
}

func TestTheWindowBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var waiting atomic.Int64
	b := setup(t, 1, func(context.Context, event.Event) error {
		waiting.Add(1)
		<-release
		return nil
	})
	b.config.WindowRecords, b.config.Workers = 10, 1000
	stop := b.start(t)
	// Small fetches, one after the other: each could start as many handlers as it has records.
	produced := 0
	for range 40 {
		b.Produce(t, b.topic, records(5, 5)...)
		produced += 5
	}
	runtimetest.Eventually(t, "the window full", func() bool { return waiting.Load() >= 5 })
	if n := waiting.Load(); n > 5 {
		t.Errorf("%d handlers run for 5 keys", n)
	}
	close(release)
	b.awaitHandled(t, produced)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: int64(produced)})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestACommitThatFailedIsTriedAgainWithoutNewRecords(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(context.Context, event.Event) error { return nil })
	refused := b.Embedded(t).Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: b.group, Err: kerr.InvalidCommitOffsetSize, Count: 2,
	})
	b.Produce(t, b.topic, record("only", "k"))
	b.start(t)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 1})
	if refused.Hits() != 2 {
		t.Errorf("%d commits were refused, want 2", refused.Hits())
	}
}

func TestRunRefusesToStartWithAClearError(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, nil)
	newHandler := func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }
	pipelineOn := func(topic string) *pipeline.Pipeline {
		p, err := pipeline.New(b.group, []pipeline.Function{{
			Spec:    function.Spec{Name: "test", Topic: topic, New: newHandler},
			Handler: function.Raw(nil, eventType),
		}}, b, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name    string
		brokers []string
		topic   string
		want    []string
	}{
		{"no such topic", b.Addrs, "no-such-topic", []string{"topic no-such-topic does not exist", b.group, "create it"}},
		{"no broker", []string{"127.0.0.1:1"}, b.topic, []string{"127.0.0.1:1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := consumergroup.Run(t.Context(), kafkaclient.Config{Brokers: tc.brokers}, b.config, pipelineOn(tc.topic), nil)
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
		})
	}
}

func TestAMemberThatWaitsToJoinCanBeStopped(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}), make(chan struct{})
	b := setup(t, 1, func(context.Context, event.Event) error {
		close(running)
		<-release
		return nil
	})
	b.config.Strategy, b.config.DrainTimeout, b.config.Rebalance = "eager", time.Minute, 2*time.Minute
	b.Produce(t, b.topic, record("slow", "k"))
	b.start(t)
	<-running
	stop := b.start(t)
	<-b.draining // the first lets its partition go, for which the second one's join waits
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Errorf("Run() = %v", err)
		}
	case <-time.After(runtimetest.Patience):
		t.Error("the member did not stop while the group waited for the other one")
	}
	close(release)
}
