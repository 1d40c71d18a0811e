package trigger_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// What runs when Run is to end may finish, and is committed.
func TestStoppingWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.BatchSize, b.spec.Window = 2, time.Hour // the second partition's one record is never due
	b.produce(0, "a", "b")
	running, gate := make(chan struct{}), make(chan struct{})
	stop := b.start(func(context.Context, event) (string, error) {
		close(running)
		<-gate
		return "", nil
	})
	<-running
	b.produce(1, "not taken any more")
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(gate)
	<-stopped
	b.committed(map[int32]int64{0: 2, 1: 0})
}

func TestWhatOutlastsTheDrainIsNotCommitted(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.opts.Drain = 50 * time.Millisecond
	b.produce(0, "a", "b")
	running := make(chan struct{})
	stop := b.start(func(ctx context.Context, _ event) (string, error) {
		close(running)
		<-ctx.Done()
		return "", ctx.Err()
	})
	<-running
	stop()
	b.committed(map[int32]int64{0: 0})
}

// A record that waits for its next try does not hold Run up, nor is it committed.
func TestStoppingDoesNotWaitForRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.opts.Backoff.First, b.opts.Backoff.Max = time.Hour, time.Hour
	b.produce(0, "a", "b")
	stop := b.start(func(_ context.Context, e event) (string, error) {
		return failing(e, func(r record) bool { return r.Offset == 1 }), nil
	})
	b.committed(map[int32]int64{0: 1})
	stop()
	b.committed(map[int32]int64{0: 1})
}

// Two members share the partitions; one takes over what the other leaves, and nothing is lost or handled out of order.
func TestMembersShareAGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4)
	b.spec.BatchSize = 10
	var mu sync.Mutex
	finished := map[string]map[int64]int{}
	f := func(_ context.Context, e event) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		for name, records := range e.Records {
			for _, r := range records {
				if finished[name] == nil {
					finished[name] = map[int64]int{}
				}
				if r.Offset > 0 && finished[name][r.Offset-1] == 0 {
					t.Errorf("%s@%d came before the record in front of it", name, r.Offset)
				}
				finished[name][r.Offset]++
			}
		}
		return "", nil
	}
	stop := b.start(f)
	write := func(from, to int) {
		for p := range int32(4) {
			b.produce(p, numbers(from, to)...)
		}
	}
	write(0, 100)
	b.start(f)
	write(100, 200)
	stop()
	write(200, 300)
	b.start(f)
	write(300, 400)
	b.committed(map[int32]int64{0: 400, 1: 400, 2: 400, 3: 400})
	for name, offsets := range finished {
		if len(offsets) != 400 {
			t.Errorf("%s: %d records of 400", name, len(offsets))
		}
		for offset, n := range offsets {
			if n != 1 {
				t.Errorf("%s@%d was handled %d times without a crash", name, offset, n)
			}
		}
	}
}

// A partition that is taken away in the middle of an invocation is not handed on before that has ended.
func TestARebalanceWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.BatchSize = 1
	var running [2]atomic.Int32
	f := func(_ context.Context, e event) (string, error) {
		for _, records := range e.Records {
			p := records[0].Partition
			if running[p].Add(1) > 1 {
				t.Errorf("partition %d is handled twice at a time", p)
			}
			time.Sleep(20 * time.Millisecond) // the work
			running[p].Add(-1)
		}
		return "", nil
	}
	b.produce(0, numbers(0, 50)...)
	b.produce(1, numbers(0, 50)...)
	b.start(f)
	for range 3 {
		b.start(f)()
	}
	b.committed(map[int32]int64{0: 50, 1: 50})
	for v, n := range b.calls() {
		if n != 2 {
			t.Errorf("%s was handled %d times, want once in each of two partitions", v, n)
		}
	}
}

// A batch of two partitions that waits for its next try is torn apart when one of them is taken away: each goes on.
func TestARebalanceTearsBatchesApart(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]func(chan struct{}) (string, error){
		"while it waits": func(healed chan struct{}) (string, error) {
			select {
			case <-healed:
				return "", nil
			default:
				return "", errors.New("not yet")
			}
		},
		"while it runs": func(healed chan struct{}) (string, error) {
			select {
			case <-healed:
				return "", nil
			case <-time.After(500 * time.Millisecond): // longer than the second member needs to ask for its share
				return "", errors.New("not yet")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 2)
			b.spec.Window = 200 * time.Millisecond
			b.produce(0, "a")
			b.produce(1, "b")
			healed := make(chan struct{})
			b.start(func(context.Context, event) (string, error) { return answers(healed) })
			runtimetest.Eventually(t, "a batch of both", func() bool { return len(b.seen()) > 0 })
			b.start(func(context.Context, event) (string, error) { return answers(healed) })
			close(healed)
			b.committed(map[int32]int64{0: 1, 1: 1})
		})
	}
}

// A member that is cut off from the cluster loses its partitions. What it does meanwhile comes again and is committed by
// the new owner only.
func TestAMemberThatIsCutOffCommitsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	network := newNetwork()
	cutOff := b.opts
	cutOff.Kafka.Dial = network.dial
	cutOff.Drain = time.Second
	b.produce(0, "a")
	running, gate := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	f := func(context.Context, event) (string, error) {
		if calls.Add(1) == 1 {
			close(running)
			<-gate
		}
		return "", nil
	}
	b.startWith(cutOff, f)
	<-running
	network.cut()
	stop := b.start(f)
	b.committed(map[int32]int64{0: 1})
	b.produce(0, "b")
	b.committed(map[int32]int64{0: 2})
	close(gate)
	network.mend()
	stop()
	b.produce(0, "c")
	b.committed(map[int32]int64{0: 3})
	if got := b.calls(); got["a"] != 2 || got["c"] != 1 {
		t.Errorf("calls %v", got)
	}
}

// The log of events has AWS's names, and nothing of the records.
func TestTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	var log lockedBuilder
	b.opts.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.spec.MaxAttempts = 1
	b.broker.ProduceTo(t, b.topic, 0, &kgo.Record{Key: []byte("canary"), Value: []byte("canary")})
	b.start(func(context.Context, event) (string, error) { return "", errors.New("it failed") })
	b.committed(map[int32]int64{0: 1})
	got := log.String()
	for _, want := range []string{
		`"msg":"POLLER_STATUS_EVENT"`, `"assignedPartitions":[0]`, `"msg":"ESM_PROCESSING_EVENT"`,
		`"errorCode":"FunctionError"`, `"errorCode":"RecordsDropped"`, "it failed", "0@0-0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in the log:\n%s", want, got)
		}
	}
	if strings.Contains(got, "canary") {
		t.Error("the log holds a record")
	}
	if diff := cmp.Diff([]trigger.Kind{trigger.Answered, trigger.Committed, trigger.Dropped, trigger.Retrying, trigger.Sent},
		slices.Sorted(maps.Keys(b.kinds()))); diff != "" {
		t.Error(diff)
	}
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The cluster goes away and comes back.
func TestAnOutageIsOutlived(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	network := newNetwork()
	b.opts.Kafka.Dial = network.dial
	var calls atomic.Int64
	b.start(func(context.Context, event) (string, error) { calls.Add(1); return "", nil })
	b.produce(0, "a")
	b.committed(map[int32]int64{0: 1, 1: 0})
	network.cut()
	b.produce(0, "b")
	network.mend()
	b.produce(1, "c")
	b.committed(map[int32]int64{0: 2, 1: 1})
}

func TestStoppingWhileTheClusterIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	network := newNetwork()
	b.opts.Kafka.Dial = network.dial
	stop := b.start(done)
	b.produce(0, "a")
	b.committed(map[int32]int64{0: 1})
	network.cut()
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > runtimetest.Patience {
		t.Errorf("it took %s", took)
	}
}
