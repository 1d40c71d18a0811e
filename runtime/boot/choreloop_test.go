//go:build !lambda.norpc

package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// looped is a chore in its loop, in a bubble of synctest.
type looped struct {
	loops *choreLoops
	wake  chan struct{}
	// fails says whether runs fail; takes is how long they take.
	fails atomic.Bool
	takes atomic.Int64

	activity

	mu  sync.Mutex
	log bytes.Buffer
	// began are the times of the runs since the start.
	began []time.Duration
	// counted are the runs that were counted, unready what readiness was told last.
	counted  []telemetry.ChoreRun
	measured []float64
	unready  error
}

func loop(t *testing.T, every time.Duration) *looped {
	t.Helper()
	l := &looped{wake: make(chan struct{}, 1)}
	start := time.Now()
	c := &chore{program: "shop", Chore: function.Chore{
		Name: "tidy", Every: every, Wake: l.wake,
		Measure: func(context.Context) (map[string]float64, error) {
			waiting := time.Since(start).Seconds()
			if waiting > 50 {
				panic("no more")
			}
			return map[string]float64{"waiting": waiting}, nil
		},
		Run: func(ctx context.Context, _ function.Publish) error {
			l.locked(func() { l.began = append(l.began, time.Since(start)) })
			select {
			case <-time.After(time.Duration(l.takes.Load())):
			case <-ctx.Done():
				return ctx.Err()
			}
			if l.fails.Load() {
				return errors.New("disk is full")
			}
			return nil
		},
	}}
	l.loops = startChores(&choreRunner{
		log:    slog.New(slog.NewTextHandler(l, nil)),
		counts: l,
		report: func(_ string, err error) { l.locked(func() { l.unready = err }) },
	}, []*chore{c})
	return l
}

// ChoreRan and ChoreMeasured count.
func (l *looped) ChoreRan(r telemetry.ChoreRun) {
	l.locked(func() { l.counted = append(l.counted, r) })
}

func (l *looped) ChoreMeasured(s telemetry.ChoreState) {
	l.locked(func() { l.measured = append(l.measured, s.Values["waiting"]) })
}

func (l *looped) locked(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// Write takes the log.
func (l *looped) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// after lets time pass and returns how many runs have begun.
func (l *looped) after(d time.Duration) int {
	time.Sleep(d)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.began)
}

func TestAChoreRestsBetweenRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop(t, time.Second)
		l.takes.Store(int64(300 * time.Millisecond))
		if n := l.after(2650 * time.Millisecond); n != 3 {
			t.Errorf("%d runs", n)
		}
		l.loops.finish(time.Now())
		if n := len(l.began); n != 4 || l.began[1] != 1300*time.Millisecond || len(l.counted) != 4 || l.counted[3].Took != 300*time.Millisecond {
			t.Errorf("runs at %v, counted %+v", l.began, l.counted)
		}
	})
}

func TestAChoreThatIsWokenRunsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop(t, time.Hour)
		l.takes.Store(int64(time.Second))
		synctest.Wait()
		// What comes while it runs is not forgotten.
		l.wake <- struct{}{}
		if n := l.after(1500 * time.Millisecond); n != 2 {
			t.Errorf("%d runs", n)
		}
		if n := l.after(time.Minute); n != 2 {
			t.Errorf("%d runs", n)
		}
		l.wake <- struct{}{}
		if n := l.after(0); n != 3 {
			t.Errorf("%d runs", n)
		}
		// A channel that is closed wakes nobody.
		close(l.wake)
		if n := l.after(time.Minute); n > 4 {
			t.Errorf("%d runs", n)
		}
		l.loops.finish(time.Now())
	})
}

func TestAChoreThatFailsBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop(t, time.Hour)
		l.fails.Store(true)
		for range 100 {
			select {
			case l.wake <- struct{}{}:
			default:
			}
			l.after(time.Second)
		}
		// 100 ms, doubling to 10 s, less up to a half.
		if n := l.after(0); n < 14 || n > 30 {
			t.Errorf("%d runs in 100 s", n)
		}
		l.locked(func() {
			if l.unready == nil {
				t.Error("readiness was not told")
			}
			// The first failure, and one a minute later.
			if n := strings.Count(l.log.String(), "a chore failed"); n != 2 {
				t.Errorf("%d lines:\n%s", n, &l.log)
			}
		})
		l.fails.Store(false)
		l.after(10 * time.Second)
		l.loops.finish(time.Now())
		if l.unready != nil || !strings.Contains(l.log.String(), "a chore succeeds again") {
			t.Errorf("unready: %v, log:\n%s", l.unready, &l.log)
		}
	})
}

func TestAChoreIsAskedHowFarItIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop(t, time.Second)
		l.after(time.Minute)
		l.loops.finish(time.Now())
		if want := []float64{0, 10, 20, 30, 40, 50}; !slices.Equal(l.measured, want) {
			t.Errorf("measured %v, want %v", l.measured, want)
		}
	})
}

func TestTheLastRunEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop(t, time.Hour)
		synctest.Wait()
		l.takes.Store(int64(time.Hour))
		began := time.Now()
		l.loops.finish(began.Add(5 * time.Second))
		if took := time.Since(began); took != 5*time.Second || len(l.began) != 2 {
			t.Errorf("%d runs, the last took %s", len(l.began), took)
		}
		// It was cut off, which is not its failure.
		if l.unready != nil || len(l.counted) != 1 || !strings.Contains(l.log.String(), "cut off") {
			t.Errorf("unready: %v, counted %v, log:\n%s", l.unready, l.counted, &l.log)
		}
	})
}

// A database whose network swallows packets must not stop a chore without a word.
func TestARunThatHangsHasFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := loop(t, time.Hour)
		l.takes.Store(int64(24 * time.Hour))
		l.after(longestRun + time.Millisecond)
		l.locked(func() {
			if !errors.Is(l.unready, errTooLong) || len(l.counted) != 1 || l.counted[0].Err == nil {
				t.Errorf("unready: %v, counted %v", l.unready, l.counted)
			}
			if text := l.log.String(); !strings.Contains(text, "a chore failed") || strings.Contains(text, "cut off") {
				t.Errorf("log:\n%s", text)
			}
		})
		l.takes.Store(0)
		l.after(time.Minute)
		l.loops.finish(time.Now())
		if l.unready != nil {
			t.Errorf("unready: %v", l.unready)
		}
	})
}

func TestARunThatWasLeftBehindIsNotOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var runs atomic.Int64
		c := &chore{Chore: function.Chore{Run: func(context.Context, function.Publish) error {
			runs.Add(1)
			<-release
			return nil
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.run(ctx, nil, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("run() = %v", err)
		}
		if err := c.run(t.Context(), nil, time.Second); !errors.Is(err, errNotReturned) || runs.Load() != 1 {
			t.Errorf("run() = %v, %d runs", err, runs.Load())
		}
		close(release)
		synctest.Wait()
		if err := c.run(t.Context(), nil, time.Second); err != nil || runs.Load() != 2 {
			t.Errorf("run() = %v, %d runs", err, runs.Load())
		}
	})
}

func TestWhatAChoreTellsReadiness(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection refused")
	kafka, database := function.Unavailable(kafkasink.Dependency, lost), function.Unavailable("postgres", lost)
	services, functions := &program{services: []service{{name: "shop"}}}, &program{functions: []pipeline.Function{{}}}
	for _, tc := range []struct {
		name  string
		of    *program
		err   error
		ready bool
	}{
		{"a service without Kafka", services, fmt.Errorf("relay: %w", errors.Join(kafka, kafka)), true},
		{"a service without its database", services, database, false},
		{"a service whose chore fails", services, lost, false},
		{"a service whose chore succeeds", services, nil, true},
		{"a function without Kafka", functions, kafka, false},
	} {
		d := &groupDoor{process: &process{program: tc.of}, monitor: newMonitor(nil, nil, nil)}
		d.reportChore("chore outbox of shop", errors.New("before"))
		d.reportChore("chore outbox of shop", tc.err)
		if err := d.monitor.Ready(); (err == nil) != tc.ready {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
