package frontier_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/frontier"
)

func TestFrontierStopsAtTheFirstUnfinishedRecord(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		started []int64
		finish  []int64
		want    int64
		left    int
	}{
		{name: "nothing started", want: 10},
		{name: "nothing finished", started: []int64{10, 11}, want: 10, left: 2},
		{name: "first finished", started: []int64{10, 11}, finish: []int64{10}, want: 11, left: 1},
		{name: "later finished, first not", started: []int64{10, 11, 12}, finish: []int64{11, 12}, want: 10, left: 3},
		{name: "all finished backwards", started: []int64{10, 11, 12}, finish: []int64{12, 11, 10}, want: 13},
		{name: "gaps of a compacted topic", started: []int64{12, 40, 99}, finish: []int64{40, 12}, want: 41, left: 1},
		{name: "beyond 32 bits", started: []int64{1 << 33, 1<<33 + 1}, finish: []int64{1 << 33}, want: 1<<33 + 1, left: 1},
		{name: "finished twice", started: []int64{10, 11}, finish: []int64{10, 10}, want: 11, left: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := frontier.New(10)
			marks := map[int64]*frontier.Mark{}
			for _, o := range tc.started {
				m, err := f.Start(o)
				if err != nil {
					t.Fatal(err)
				}
				if m.Offset() != o {
					t.Fatalf("mark of offset %d says %d", o, m.Offset())
				}
				marks[o] = m
			}
			for _, o := range tc.finish {
				marks[o].Finish()
			}
			if next, moved := f.Advance(); next != tc.want || moved != (tc.want != 10) {
				t.Errorf("Advance() = %d, %t; want %d", next, moved, tc.want)
			}
			if f.Len() != tc.left || f.Next() != tc.want {
				t.Errorf("Len() = %d, Next() = %d; want %d, %d", f.Len(), f.Next(), tc.left, tc.want)
			}
		})
	}
}

func TestStartRefusesAnOffsetThatDoesNotAscend(t *testing.T) {
	t.Parallel()
	f := frontier.New(5)
	for _, offset := range []int64{4, 0, -1} {
		if _, err := f.Start(offset); err == nil {
			t.Errorf("offset %d below the frontier was taken", offset)
		}
	}
	if _, err := f.Start(7); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Start(7); err == nil {
		t.Error("offset 7 was taken twice")
	}
	if f.Len() != 1 {
		t.Errorf("Len() = %d after one record", f.Len())
	}
}

// The model: the frontier is one above the longest prefix of finished records.
func TestFrontierAgreesWithItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		f := frontier.New(start)
		var (
			offsets  []int64
			finished []bool
			marks    []*frontier.Mark
			next     = start
			newest   = start - 1
		)
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 2000).Draw(t, "steps")
		for i, step := range steps {
			if step < 5 {
				newest += 1 + int64(step)*int64(i%3)
				m, err := f.Start(newest)
				if err != nil {
					t.Fatal(err)
				}
				offsets, finished, marks = append(offsets, newest), append(finished, false), append(marks, m)
				continue
			}
			if len(marks) > 0 {
				i := rapid.IntRange(max(0, len(marks)-600), len(marks)-1).Draw(t, "finish")
				marks[i].Finish()
				finished[i] = true
			}
			prefix := slices.Index(finished, false)
			if prefix < 0 {
				prefix = len(finished)
			}
			if prefix > 0 {
				next = offsets[prefix-1] + 1
			}
			if got, _ := f.Advance(); got != next || f.Len() != len(offsets)-prefix {
				t.Fatalf("Advance() = %d, Len() = %d; want %d, %d", got, f.Len(), next, len(offsets)-prefix)
			}
		}
	})
}

func TestFrontierGoesOnAfterExactlyAChunkWasFinished(t *testing.T) {
	t.Parallel()
	f := frontier.New(0)
	for offset := range int64(3 * 256) {
		m, err := f.Start(offset)
		if err != nil {
			t.Fatal(err)
		}
		m.Finish()
		if next, moved := f.Advance(); next != offset+1 || !moved {
			t.Fatalf("after offset %d: Advance() = %d, %t", offset, next, moved)
		}
	}
}

func TestMarksMayBeFinishedFromManyGoroutines(t *testing.T) {
	t.Parallel()
	const records = 10 * 256
	f := frontier.New(0)
	var workers sync.WaitGroup
	for offset := range int64(records) {
		m, err := f.Start(offset)
		if err != nil {
			t.Fatal(err)
		}
		workers.Go(m.Finish)
		f.Advance()
	}
	workers.Wait()
	if next, _ := f.Advance(); next != records {
		t.Errorf("frontier at %d after %d records", next, records)
	}
}

func Example() {
	f := frontier.New(100)
	first, _ := f.Start(100)
	second, _ := f.Start(101)

	second.Finish()
	fmt.Println(f.Advance())
	first.Finish()
	fmt.Println(f.Advance())
	// Output:
	// 100 false
	// 102 true
}
