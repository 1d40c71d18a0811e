package consumergroup_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/frontier"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestARestartDoesNotRunAgainWhatFinishedBehindAFailingRecord(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	b := setup(t, 1, func(_ context.Context, e event.Event) error {
		if e.ID() == "000000" && calls.Add(1) == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	b.backoff = time.Hour
	b.Produce(t, b.topic, records(100, 100)...)
	stop := b.start(t)
	b.awaitHandled(t, 99)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 0})

	b.start(t)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 100})
	ids := b.ids()
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) || len(ids) != 100 {
		t.Errorf("%d events were handled with success, want each of 100 once", len(ids))
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the failing record's handler was called %d times, want 2", n)
	}
}

func TestAttemptsAreCountedAcrossRestarts(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	called := make(chan struct{}, 10)
	b := setup(t, 1, func(context.Context, event.Event) error {
		calls.Add(1)
		called <- struct{}{}
		return errors.New("always")
	})
	b.backoff = time.Hour
	b.Produce(t, b.topic, record("bad", "k"))
	for range 3 {
		stop := b.start(t)
		<-called
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	runtimetest.Eventually(t, "a dead letter", func() bool { return len(b.buried()) == 1 })
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want the 3 that are allowed", n)
	}
	if f := b.buried()[0]; f.Attempts != 3 || f.First.IsZero() || !f.First.Before(f.Last) {
		t.Errorf("dead letter after %d attempts, first failure %s, last %s", f.Attempts, f.First, f.Last)
	}
}

// The next owner suspects that it was made, and that is once enough.
func TestAnAttemptThatTheDrainCutShortIsCountedOnce(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	running := make(chan struct{})
	b := setup(t, 1, func(ctx context.Context, _ event.Event) error {
		if calls.Add(1) > 1 {
			return errors.New("always")
		}
		close(running)
		<-ctx.Done()
		return ctx.Err()
	})
	b.config.DrainTimeout = time.Millisecond
	b.Produce(t, b.topic, record("bad", "k"))
	stop := b.start(t)
	<-running
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 1})
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want the 3 that are allowed", n)
	}
}

// What a former owner left that was killed: it had called the handler an unknown number of times.
func TestAnOwnerThatEndedWithoutAGoodbyeMayHaveCalledOnceMore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		state frontier.State
		calls int64
	}{
		{"closed", frontier.State{Failing: []frontier.Failing{{Offset: 0, Attempts: 1, First: time.Now()}}}, 2},
		{"open", frontier.State{Open: true, Reserved: 10, Failing: []frontier.Failing{{Offset: 0, Attempts: 1, First: time.Now()}}}, 1},
		{"open, after its last attempt but one", frontier.State{
			Open: true, Reserved: 10, Failing: []frontier.Failing{{Offset: 0, Attempts: 2, First: time.Now()}},
		}, 0},
		{"open twice, nothing known", frontier.State{Open: true, Reserved: 10, Suspects: []int64{10}}, 1},
		{"open many times, nothing known", frontier.State{Open: true, Reserved: 10, Suspects: []int64{10, 10, 10, 10}}, 1},
		{"open, reserved below", frontier.State{Open: true, Reserved: 0}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			b := setup(t, 1, func(context.Context, event.Event) error {
				calls.Add(1)
				return errors.New("always")
			})
			b.Produce(t, b.topic, record("bad", "k"))
			b.SetCommits(t, b.group, b.topic, map[int32]runtimetest.Commit{0: {Offset: 0, Metadata: tc.state.String()}})
			b.start(t)
			b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 1})
			if n := calls.Load(); n != tc.calls {
				t.Errorf("%d calls, want %d of the 3 that are allowed", n, tc.calls)
			}
			if letters := b.buried(); len(letters) != 1 {
				t.Errorf("%d dead letters, want 1", len(letters))
			}
		})
	}
}

func TestARecordThatCameLaterIsNotSuspected(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	b := setup(t, 1, func(context.Context, event.Event) error {
		calls.Add(1)
		return errors.New("always")
	})
	state := frontier.State{Open: true, Reserved: 10}
	b.SetCommits(t, b.group, b.topic, map[int32]runtimetest.Commit{0: {Offset: 0, Metadata: state.String()}})
	stop := b.start(t)
	runtimetest.Eventually(t, "the new owner's first commit", func() bool {
		return b.Commits(t, b.group, b.topic)[0].Metadata != state.String()
	})
	b.Produce(t, b.topic, record("bad", "k"))
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 1})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want the 3 that are allowed", n)
	}
}

func TestWhatACommitSaysOfAnotherOffsetIsVoid(t *testing.T) {
	t.Parallel()
	state := frontier.State{Next: 2, Finished: []frontier.Run{{From: 5, To: 9}}}
	for _, tc := range []struct {
		name     string
		metadata string
		handled  int
	}{
		{"its own", state.String(), 3},
		{"moved by an operator", frontier.State{Next: 4, Finished: state.Finished}.String(), 8},
		{"none", "", 8},
		{"another program's", "bgIAAgAAAg==", 8},
		{"corrupted", strings.ToUpper(state.String()), 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, func(context.Context, event.Event) error { return nil })
			b.Produce(t, b.topic, records(10, 10)...)
			b.SetCommits(t, b.group, b.topic, map[int32]runtimetest.Commit{0: {Offset: 2, Metadata: tc.metadata}})
			b.start(t)
			b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 10})
			if n := len(b.ids()); n != tc.handled {
				t.Errorf("%d events were handled, want %d", n, tc.handled)
			}
		})
	}
}

func TestAPartitionWhoseLogEndsBeforeTheCommitIsNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(context.Context, event.Event) error { return nil })
	b.Produce(t, b.topic, records(5, 5)...)
	b.SetCommits(t, b.group, b.topic, map[int32]runtimetest.Commit{0: {Offset: 1000}})
	stop := b.start(t)
	runtimetest.Eventually(t, "the partition is reported", func() bool { return b.stuckAt(b.topic, 0) != nil })
	if err := b.stuckAt(b.topic, 0); !strings.Contains(err.Error(), "the committed offset is 1000 but the log ends at 5") {
		t.Errorf("reported %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(b.ids()); n != 0 {
		t.Errorf("%d events were handled", n)
	}
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 1000})
}

func TestARestartWithoutProgressKeepsTheCommit(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(_ context.Context, e event.Event) error {
		if e.ID() < "000003" {
			return nil
		}
		return errors.New("not today")
	})
	b.backoff = time.Hour
	b.Produce(t, b.topic, records(4, 1)...)
	for run := range 3 {
		stop := b.start(t)
		b.awaitHandled(t, 3)
		b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 3})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 3})
		if len(b.buried()) > 0 && run < 2 {
			t.Fatalf("buried in run %d", run)
		}
	}
}

// More records fail than a commit can count the attempts of: the others do not start.
func TestManyFailingRecordsKeepTheirAttemptsAcrossRestarts(t *testing.T) {
	t.Parallel()
	const n, limit = 1500, 3
	var mu sync.Mutex
	calls := map[string]int{}
	b := setup(t, 1, func(_ context.Context, e event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		calls[e.ID()]++
		return errors.New("always")
	})
	b.config.WindowRecords = 10000
	b.Produce(t, b.topic, records(n, n)...)
	for len(b.buried()) < n {
		stop := b.start(t)
		until := min(len(b.buried())+n/3, n)
		runtimetest.Eventually(t, "more dead letters", func() bool { return len(b.buried()) >= until })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	for id, count := range calls {
		if count > limit {
			t.Errorf("event %s: %d calls, more than %d", id, count, limit)
		}
	}
	if len(calls) != n {
		t.Errorf("%d events were handled, want %d", len(calls), n)
	}
}
