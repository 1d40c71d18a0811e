package trigger_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// A backlog is sent in full batches, one of a partition at a time.
func TestBatchesAreFull(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.BatchSize, b.spec.Window = 10, time.Hour
	b.produce(0, numbers(0, 30)...)
	b.produce(1, numbers(30, 50)...)
	b.start(done)
	b.committed(map[int32]int64{0: 30, 1: 20})
	for _, e := range b.seen() {
		if e.count() != 10 {
			t.Errorf("a batch of %d records", e.count())
		}
	}
}

func TestTheWindowGathersOfAllPartitions(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	b.spec.Window = 2 * time.Second // longer than a busy machine takes to produce
	b.start(done)
	b.produce(0, "a")
	b.produce(1, "b")
	b.produce(2, "c")
	b.committed(map[int32]int64{0: 1, 1: 1, 2: 1})
	if n := len(b.seen()); n != 1 {
		t.Errorf("%d events, want one of three partitions", n)
	}
}

// Values of 2 MB are 2.7 MB in an event: two fit, three do not, of whatever partitions.
func TestAnEventHasAtMostSixMegabytes(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.spec.Window = 300 * time.Millisecond
	b.largeTopic(2)
	large := strings.Repeat("x", 2<<20)
	b.produceLarge(0, large)
	b.produceLarge(1, large, large, large, large)
	b.start(done)
	b.committed(map[int32]int64{0: 1, 1: 4})
	total, most := 0, 0
	for _, e := range b.seen() {
		total, most = total+e.count(), max(most, e.count())
		if e.bytes > 6<<20 {
			t.Errorf("an event of %d bytes", e.bytes)
		}
	}
	if total != 5 || most != 2 {
		t.Errorf("%d records, at most %d in an event", total, most)
	}
}

func TestStartingPositions(t *testing.T) {
	t.Parallel()
	begin := time.Now().Truncate(time.Millisecond)
	for name, tc := range map[string]struct {
		start  template.Start
		commit map[int32]runtimetest.Commit
		want   []string
	}{
		"oldest":         {template.TrimHorizon, nil, []string{"a", "b", "c", "new"}},
		"latest":         {template.Latest, nil, []string{"new"}},
		"at a timestamp": {template.AtTimestamp, nil, []string{"b", "c", "new"}},
		"only where the group has no commit": {
			template.Latest, map[int32]runtimetest.Commit{0: {Offset: 2}}, []string{"c", "new"},
		},
		"a commit before the log's begin or behind its end": {
			template.Latest, map[int32]runtimetest.Commit{0: {Offset: 99}}, []string{"a", "b", "c", "new"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			b.spec.Start, b.spec.StartAt = tc.start, begin.Add(time.Second)
			for i, v := range []string{"a", "b", "c"} {
				b.broker.ProduceTo(t, b.topic, 0, &kgo.Record{Value: []byte(v), Timestamp: begin.Add(time.Duration(i) * time.Second)})
			}
			if tc.commit != nil {
				b.broker.SetCommits(t, b.spec.Group, b.topic, tc.commit)
			}
			b.start(done)
			b.produce(0, "new")
			b.committed(map[int32]int64{0: 4})
			var got []string
			for _, e := range b.seen() {
				got = append(got, e.values()[b.topic+"-0"]...)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A group that begins at the end does not skip what comes before its first batch is done.
func TestTheStartingPositionIsCommitted(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.spec.Start = template.Latest
	b.produce(0, "old")
	stop := b.start(done)
	b.committed(map[int32]int64{0: 1})
	stop()
	b.produce(0, "while nobody was there")
	b.start(done)
	b.committed(map[int32]int64{0: 2})
	if n := b.calls()["while nobody was there"]; n != 1 {
		t.Errorf("sent %d times", n)
	}
}

// transaction writes values in a transaction, and commits or aborts it.
func (b *bench) transaction(end kgo.TransactionEndTry, values ...string) {
	b.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.broker.Addrs...), kgo.TransactionalID(runtimetest.UniqueName(b)))
	if err != nil {
		b.Fatal(err)
	}
	defer producer.Close()
	if err := producer.BeginTransaction(); err != nil {
		b.Fatal(err)
	}
	for _, v := range values {
		if err := producer.ProduceSync(b.Context(), &kgo.Record{Topic: b.topic, Value: []byte(v)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
	if err := producer.EndTransaction(b.Context(), end); err != nil {
		b.Fatal(err)
	}
}

func TestTransactionsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		uncommitted bool
		want        map[string]int
	}{
		"committed":   {false, map[string]int{"kept": 1, "also kept": 1}},
		"uncommitted": {true, map[string]int{"kept": 1, "also kept": 1, "taken back": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			b.opts.ReadUncommitted = tc.uncommitted
			b.transaction(kgo.TryCommit, "kept", "also kept")
			b.transaction(kgo.TryAbort, "taken back")
			b.start(done)
			b.committed(map[int32]int64{0: 5}) // with both markers
			if diff := cmp.Diff(tc.want, b.calls()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsFilteredOutIsCommittedAlong(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.spec.Filters = []string{`{"value":{"n":[{"numeric":[">",1]}]}}`}
	b.produce(0, `{"n":1}`, `{"n":2}`, `{"n":1}`)
	b.start(done)
	b.committed(map[int32]int64{0: 3})
	if diff := cmp.Diff(map[string]int{`{"n":2}`: 1}, b.calls()); diff != "" {
		t.Error(diff)
	}
	if b.kinds()[trigger.Filtered] == 0 {
		t.Error("nobody was told")
	}
}

// One partition fails for ever, one is slow, the others flow; and at most one invocation has a partition's records.
func TestPartitionsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6)
	b.spec.BatchSize, b.opts.Drain = 5, 10*time.Millisecond
	var inFlight [6]atomic.Int32
	b.start(func(ctx context.Context, e event) (string, error) {
		for _, records := range e.Records {
			p := records[0].Partition
			if inFlight[p].Add(1) > 1 {
				t.Errorf("partition %d is in two invocations at a time", p)
			}
			defer inFlight[p].Add(-1)
		}
		if len(e.Records[b.topic+"-1"]) > 0 {
			<-ctx.Done()
			return "", ctx.Err()
		}
		return failing(e, func(r record) bool { return r.Partition == 0 && r.Offset == 3 }), nil
	})
	// Batches of one partition each: a batch of several waits for its slowest record.
	for p := range int32(6) {
		b.produce(p, numbers(0, 5)...)
	}
	b.produce(2, numbers(5, 50)...)
	b.committed(map[int32]int64{0: 3, 1: 0, 2: 50, 3: 5, 4: 5, 5: 5})
}

// Also when a batch of several partitions is tried again in halves, of which one is the next of one partition only.
func TestOrderWithinAPartition(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.BatchSize, b.spec.Window, b.spec.Bisect = 150, time.Second, true
	b.produce(0, numbers(0, 100)...)
	b.produce(1, numbers(0, 100)...)
	var mu sync.Mutex
	calls, next := 0, [2]int64{}
	b.start(func(_ context.Context, e event) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		// The first half fails as well: it waits longer than the second, which must not overtake it.
		if calls++; calls < 3 || calls%3 == 1 {
			return "", errors.New("not this time")
		}
		for _, records := range e.Records {
			for _, r := range records {
				if r.Offset != next[r.Partition] {
					t.Errorf("partition %d: offset %d, want %d", r.Partition, r.Offset, next[r.Partition])
				}
				next[r.Partition] = r.Offset + 1
			}
		}
		return "", nil
	})
	b.committed(map[int32]int64{0: 100, 1: 100})
	if b.kinds()[trigger.Bisected] == 0 || len(b.seen()[0].Records) < 2 {
		t.Error("no batch of two partitions was divided")
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4)
	b.spec.BatchSize, b.opts.Concurrency = 1, 2
	var running atomic.Int64
	gate := make(chan struct{})
	b.start(func(context.Context, event) (string, error) {
		if running.Add(1) > 2 {
			t.Error("more than two at a time")
		}
		defer running.Add(-1)
		<-gate
		return "", nil
	})
	for p := range int32(4) {
		b.produce(p, "x")
	}
	runtimetest.Eventually(t, "two invocations", func() bool { return running.Load() == 2 })
	close(gate)
	b.committed(map[int32]int64{0: 1, 1: 1, 2: 1, 3: 1})
}

// A partition that stands still does not fill the memory, and goes on when it may.
func TestAPausedPartitionIsFetchedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.BatchSize = 500
	gate := make(chan struct{})
	b.start(func(_ context.Context, e event) (string, error) {
		if len(e.Records[b.topic+"-0"]) > 0 {
			<-gate
		}
		return "", nil
	})
	for i := range 40 {
		b.produce(0, numbers(i*1000, (i+1)*1000)...)
	}
	b.produce(1, "x")
	b.committed(map[int32]int64{0: 0, 1: 1})
	close(gate)
	b.committed(map[int32]int64{0: 40_000, 1: 1})
	for v, n := range b.calls() {
		if n != 1 {
			t.Fatalf("%s was sent %d times", v, n)
		}
	}
	if !slices.ContainsFunc(b.seen(), func(e event) bool { return e.count() == 500 }) {
		t.Error("no batch was full")
	}
}
