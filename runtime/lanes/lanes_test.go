package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/lanes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item = lanes.Item[int]

// log notes items in the order in which they came.
type log struct {
	mu    sync.Mutex
	items []int
}

func (l *log) add(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, i)
}

func (l *log) all() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

// finish closes l and waits until nothing runs.
func finish[T any](t testing.TB, l *lanes.Lanes[T]) {
	t.Helper()
	l.Close()
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestItemsOfAKeyRunInOrderAndOneAtATime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var (
			workers = rapid.IntRange(1, 8).Draw(rt, "workers")
			drawn   = rapid.SliceOfN(rapid.Uint64Range(0, 5), 1, 400).Draw(rt, "keys")
			fails   = rapid.SliceOfN(rapid.IntRange(0, 9), len(drawn), len(drawn)).Draw(rt, "fails")
			sizes   = rapid.SliceOfN(rapid.IntRange(1, 150), 1, 10).Draw(rt, "batches")
		)
		synctest.Test(t, func(t *testing.T) {
			var (
				mu      sync.Mutex
				handled = map[uint64][]int{}
				running [6]atomic.Int32
				failed  = map[int]int{}
			)
			l := lanes.New(lanes.NewPool(workers), func(i int) lanes.Result {
				if running[drawn[i]].Add(1) != 1 {
					t.Errorf("two items of key %d ran at the same time", drawn[i])
				}
				defer running[drawn[i]].Add(-1)
				time.Sleep(time.Duration(fails[i]) * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				if failed[i] < fails[i]-7 {
					failed[i]++
					return lanes.Again(time.Second)
				}
				handled[drawn[i]] = append(handled[drawn[i]], i)
				return lanes.Finished()
			}, nil)
			var want [6][]int
			var batch []item
			for i, key := range drawn {
				want[key] = append(want[key], i)
				batch = append(batch, item{Key: key, Value: i})
				if len(batch) == sizes[i%len(sizes)] {
					l.Submit(batch)
					batch = batch[:0]
				}
			}
			l.Submit(batch)
			time.Sleep(time.Hour)
			synctest.Wait()
			for key := range want {
				if !slices.Equal(handled[uint64(key)], want[key]) {
					t.Errorf("key %d ran %v, want %v", key, handled[uint64(key)], want[key])
				}
			}
			finish(t, l)
		})
	})
}

func TestAParkedKeyLetsOthersFlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran, parked log
		failures := 1
		l := lanes.New(lanes.NewPool(1), func(i int) lanes.Result {
			ran.add(i)
			if i == 0 && failures > 0 {
				failures--
				return lanes.Again(time.Minute)
			}
			return lanes.Finished()
		}, &lanes.Options[int]{Parked: parked.add})
		l.Submit([]item{{Key: 1, Value: 0}, {Key: 1, Value: 1}, {Key: 2, Value: 2}})
		synctest.Wait()
		l.Submit([]item{{Key: 1, Value: 3}, {Key: 2, Value: 4}})
		synctest.Wait()
		if want := []int{0, 2, 4}; !slices.Equal(ran.all(), want) {
			t.Errorf("while key 1 was parked, %v ran; want %v", ran.all(), want)
		}
		if want := []int{0, 1, 3}; !slices.Equal(parked.all(), want) {
			t.Errorf("told of %v as parked, want %v", parked.all(), want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []int{0, 2, 4, 0, 1, 3}; !slices.Equal(ran.all(), want) {
			t.Errorf("in the end %v ran; want %v", ran.all(), want)
		}
		finish(t, l)
	})
}

func TestWorkersAreBoundedSharedAndGoneWhenIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit, rounds = 7, 10
		pool := lanes.NewPool(limit)
		var running, most, ended atomic.Int32
		handle := func(int) lanes.Result {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			ended.Add(1)
			return lanes.Finished()
		}
		a, b := lanes.New(pool, handle, nil), lanes.New(pool, handle, nil)
		items := keys(limit * rounds / 2)
		a.Submit(items)
		b.Submit(items)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if n := running.Load(); n != limit {
			t.Errorf("%d items run at once with work for all %d workers", n, limit)
		}
		time.Sleep(rounds * time.Second)
		synctest.Wait()
		if most.Load() != limit || ended.Load() != limit*rounds {
			t.Errorf("at most %d ran at once, %d ended; want %d and %d", most.Load(), ended.Load(), limit, limit*rounds)
		}
		finish(t, a)
		finish(t, b)
	})
}

func TestAWorkerThatYieldsLeavesItsPlaceToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit, rounds = 3, 20
		pool := lanes.NewPool(limit)
		var handling, most, waiting, mostWaiting, ended atomic.Int32
		l := lanes.New(pool, func(int) lanes.Result {
			most.Store(max(most.Load(), handling.Add(1)))
			time.Sleep(time.Millisecond)
			handling.Add(-1)
			resume := pool.Yield()
			mostWaiting.Store(max(mostWaiting.Load(), waiting.Add(1)))
			time.Sleep(time.Second)
			waiting.Add(-1)
			resume()
			ended.Add(1)
			return lanes.Finished()
		}, nil)
		// Each key has several items: a worker that comes back must not go on with them where its place is taken.
		for range 2 {
			l.Submit(keys(limit * rounds))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if ended.Load() != 2*limit*rounds || most.Load() > limit {
			t.Errorf("%d items ended, %d were handled at once; want %d and at most %d", ended.Load(), most.Load(), 2*limit*rounds, limit)
		}
		// The last that wait have kept their places.
		if mostWaiting.Load() != 5*limit {
			t.Errorf("%d items waited at once, want %d", mostWaiting.Load(), 5*limit)
		}
		finish(t, l)
	})
}

func TestItemsThatWaitForNothingLeaveProcessorsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most, ended atomic.Int32
		l := lanes.New(lanes.NewPool(256), func(int) lanes.Result {
			most.Store(max(most.Load(), running.Add(1)))
			ended.Add(1)
			running.Add(-1)
			return lanes.Finished()
		}, nil)
		l.Submit(keys(10_000))
		synctest.Wait()
		if limit := int32(max(runtime.GOMAXPROCS(0)/2, 1)); ended.Load() != 10_000 || most.Load() > limit {
			t.Errorf("%d items ended, %d ran at once; want all and at most %d", ended.Load(), most.Load(), limit)
		}
		finish(t, l)
	})
}

func TestFewKeysTakeOneWorkerUnlessItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most, ended atomic.Int32
		l := lanes.New(lanes.NewPool(256), func(int) lanes.Result {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(10 * time.Microsecond)
			ended.Add(1)
			running.Add(-1)
			return lanes.Finished()
		}, nil)
		l.Submit(keys(10))
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if ended.Load() != 10 || most.Load() != 1 {
			t.Errorf("%d items ended, %d ran at once; want all, one after the other", ended.Load(), most.Load())
		}
		finish(t, l)
	})
}

// keys returns an item for each of n keys.
func keys(n int) []item {
	items := make([]item, n)
	for i := range items {
		items[i].Key = uint64(i)
	}
	return items
}

func TestCloseForgetsWhatWaitsAndWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		l := lanes.New(lanes.NewPool(2), func(int) lanes.Result {
			started.Add(1)
			time.Sleep(time.Second)
			ended.Add(1)
			return lanes.Finished()
		}, nil)
		l.Submit([]item{{Key: 1}, {Key: 1}, {Key: 2}, {Key: 3}})
		time.Sleep(10 * time.Millisecond) // the second worker starts when the first is seen to wait
		synctest.Wait()
		l.Close()
		l.Close()
		l.Submit([]item{{Key: 4}})
		if err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if started.Load() != 2 || ended.Load() != 2 {
			t.Errorf("%d started and %d ended; want the 2 that ran when it closed", started.Load(), ended.Load())
		}
	})
}

func TestWaitGivesUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l := lanes.New(lanes.NewPool(1), func(int) lanes.Result { <-release; return lanes.Finished() }, nil)
		l.Submit([]item{{}})
		synctest.Wait()
		l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait() = %v while an item runs", err)
		}
		close(release)
		if err := l.Wait(t.Context()); err != nil {
			t.Errorf("Wait() = %v after the last item ended", err)
		}
	})
}

func TestClosedLanesLeaveNoTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		l := lanes.New(lanes.NewPool(1), func(int) lanes.Result { ran++; return lanes.Again(time.Minute) }, nil)
		l.Submit([]item{{}})
		synctest.Wait()
		finish(t, l)
		time.Sleep(time.Hour)
		synctest.Wait()
		if ran != 1 {
			t.Errorf("ran %d times, want once before Close", ran)
		}
	})
}

func ExampleLanes() {
	done := make(chan string)
	l := lanes.New(lanes.NewPool(8), func(s string) lanes.Result {
		done <- s
		return lanes.Finished()
	}, nil)
	l.Submit([]lanes.Item[string]{{Key: 1, Value: "order 1 created"}, {Key: 1, Value: "order 1 paid"}})
	fmt.Println(<-done)
	fmt.Println(<-done)
	l.Close()
	// Output:
	// order 1 created
	// order 1 paid
}

// BenchmarkLanes runs items that do nothing, in bursts of five of a thousand keys.
func BenchmarkLanes(b *testing.B) {
	var left atomic.Int64
	left.Store(int64(b.N))
	finished := make(chan struct{})
	l := lanes.New(lanes.NewPool(256), func(int) lanes.Result {
		if left.Add(-1) == 0 {
			close(finished)
		}
		return lanes.Finished()
	}, nil)
	batch := make([]item, 0, 256)
	b.ReportAllocs()
	for i := range b.N {
		batch = append(batch, item{Key: uint64(i/5) % 1000, Value: i})
		if len(batch) == cap(batch) {
			l.Submit(batch)
			batch = batch[:0]
		}
	}
	l.Submit(batch)
	<-finished
	l.Close()
}
