package frontier_test

import (
	"math"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/millrace/millrace/runtime/frontier"
)

func TestMarkKnowsItsAttempts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		attempts int
		first    time.Time
		want     int
		since    time.Time
	}{
		{name: "one", attempts: 1, first: noon, want: 1, since: noon},
		{name: "to the second, in UTC", attempts: 2, first: noon.Add(time.Second - 1).In(time.FixedZone("east", 3600)), want: 2, since: noon},
		{name: "no time known", attempts: 3, want: 3},
		{name: "before 1970", attempts: 3, first: time.Unix(-5, 0), want: 3},
		{name: "beyond what is counted", attempts: 256, first: noon, want: 255, since: noon},
		{name: "far beyond", attempts: math.MaxInt, first: noon, want: 255, since: noon},
		{name: "negative", attempts: -1, first: noon, want: 0, since: noon},
		{name: "latest time", attempts: 255, first: time.Unix(1<<47, 0), want: 255, since: time.Unix(1<<47-1, 0).UTC()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := start(t, frontier.Restore(frontier.State{Suspects: []int64{8, 9}}), 7)
			m.Fail(77, noon.Add(-time.Hour))
			m.Fail(tc.attempts, tc.first)
			if n, first := m.Attempts(); n != tc.want || first != tc.since {
				t.Errorf("Attempts() = %d, %v; want %d, %v", n, first, tc.want, tc.since)
			}
			if m.Finished() || m.Suspected() != 2 || m.Offset() != 7 {
				t.Errorf("Fail changed the rest: finished %t, suspected %d, offset %d", m.Finished(), m.Suspected(), m.Offset())
			}
			m.Finish()
			if n, first := m.Attempts(); !m.Finished() || n != tc.want || first != tc.since || m.Suspected() != 2 {
				t.Errorf("Finish changed the rest: finished %t, %d attempts since %v, suspected %d", m.Finished(), n, first, m.Suspected())
			}
		})
	}
}

func TestMarkFailsAndFinishesInManyGoroutines(t *testing.T) {
	t.Parallel()
	f := frontier.New(0)
	for offset := range int64(200) {
		m := start(t, f, offset)
		var workers sync.WaitGroup
		for n := range 3 {
			workers.Go(func() {
				for range 500 {
					m.Fail(n+1, noon.Add(time.Duration(n+1)*time.Second))
				}
			})
		}
		workers.Go(m.Finish)
		workers.Go(func() { f.State() })
		workers.Wait()
		n, first := m.Attempts()
		if !m.Finished() || !first.Equal(noon.Add(time.Duration(n)*time.Second)) {
			t.Fatalf("finished %t, %d attempts since %v", m.Finished(), n, first)
		}
	}
}

// Hundreds of thousands of marks may wait behind an unfinished record.
func TestMarkIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(frontier.Mark{}); size != 16 {
		t.Errorf("a mark takes %d bytes", size)
	}
}

func start(t interface {
	Helper()
	Fatal(args ...any)
}, f *frontier.Frontier, offset int64,
) *frontier.Mark {
	t.Helper()
	m, err := f.Start(offset)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
