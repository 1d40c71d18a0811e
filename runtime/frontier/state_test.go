package frontier_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/frontier"
)

func TestStateTellsWhatFinishedBeyondTheFrontier(t *testing.T) {
	t.Parallel()
	restored := frontier.State{
		Next:     10,
		Finished: []frontier.Run{{From: 12, To: 14}, {From: 20, To: 29}},
		Failing:  []frontier.Failing{{Offset: 11, Attempts: 2, First: noon}, {Offset: 30, Attempts: 4, First: noon}},
	}
	for _, tc := range []struct {
		name     string
		from     frontier.State
		started  []int64
		finished []int64
		next     int64
		runs     []frontier.Run
		failing  []int64
	}{
		{name: "nothing", from: frontier.State{Next: 10}, next: 10},
		{name: "nothing finished", from: frontier.State{Next: 10}, started: []int64{10, 11}, next: 10},
		{name: "all finished", from: frontier.State{Next: 10}, started: []int64{10, 11}, finished: []int64{10, 11}, next: 12},
		{
			name: "one behind the first", from: frontier.State{Next: 10}, started: []int64{10, 11, 12}, finished: []int64{11},
			next: 10, runs: []frontier.Run{{From: 11, To: 11}},
		},
		{
			name: "a run over gaps, and another", from: frontier.State{Next: 10}, started: []int64{12, 15, 19, 30, 31, 40},
			finished: []int64{15, 19, 31, 40}, next: 10, runs: []frontier.Run{{From: 15, To: 19}, {From: 31, To: 40}},
		},
		{
			name: "restored, nothing came", from: restored, next: 10, runs: restored.Finished, failing: []int64{11, 30},
		},
		{
			name: "restored, the first came", from: restored, started: []int64{10}, finished: []int64{10}, next: 11,
			runs: restored.Finished, failing: []int64{11, 30},
		},
		{
			name: "restored, came into a run", from: restored, started: []int64{10, 11, 12}, next: 10,
			runs: restored.Finished, failing: []int64{11, 30},
		},
		{
			name: "restored, finished up to a run", from: restored, started: []int64{10, 11}, finished: []int64{11}, next: 10,
			runs: []frontier.Run{{From: 11, To: 14}, {From: 20, To: 29}}, failing: []int64{30},
		},
		{
			name: "restored, finished short of a run", from: restored, started: []int64{10, 19}, finished: []int64{19}, next: 10,
			runs: []frontier.Run{{From: 19, To: 29}}, failing: []int64{30},
		},
		{
			name: "restored, finished with an offset to come before the run", from: restored, started: []int64{10, 18}, finished: []int64{18},
			next: 10, runs: []frontier.Run{{From: 18, To: 18}, {From: 20, To: 29}}, failing: []int64{30},
		},
		{
			name: "restored, unfinished right before a run", from: restored, started: []int64{10, 11, 19}, finished: []int64{10, 11},
			next: 12, runs: []frontier.Run{{From: 20, To: 29}}, failing: []int64{30},
		},
		{
			name: "restored, unfinished between two runs", from: restored, started: []int64{10, 11, 19}, finished: []int64{11},
			next: 10, runs: []frontier.Run{{From: 11, To: 11}, {From: 20, To: 29}}, failing: []int64{30},
		},
		{
			name: "restored, the frontier in a run", from: restored, started: []int64{10, 11, 12, 13}, finished: []int64{10, 11},
			next: 14, runs: []frontier.Run{{From: 14, To: 14}, {From: 20, To: 29}}, failing: []int64{30},
		},
		{
			name: "restored, gaps in a run", from: restored, started: []int64{11, 13, 17, 22, 28}, finished: []int64{17},
			next: 10, runs: []frontier.Run{{From: 13, To: 29}}, failing: []int64{11, 30},
		},
		{
			name: "restored, all passed", from: restored, started: []int64{10, 50}, next: 10,
		},
		{
			name: "restored below the offset to go on from", from: frontier.State{
				Next: 22, Finished: []frontier.Run{{From: 12, To: 14}, {From: 20, To: 29}}, Failing: restored.Failing,
			}, next: 22, runs: []frontier.Run{{From: 22, To: 29}}, failing: []int64{30},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, marks := frontier.Restore(tc.from), map[int64]*frontier.Mark{}
			for _, offset := range tc.started {
				marks[offset] = start(t, f, offset)
			}
			for _, offset := range tc.finished {
				marks[offset].Finish()
			}
			f.Advance()
			got := f.State()
			if got.Next != tc.next || !reflect.DeepEqual(got.Finished, tc.runs) || !reflect.DeepEqual(offsets(got.Failing), tc.failing) {
				t.Errorf("State() = %+v\nwant next %d, finished %v, failing %v", plain(got), tc.next, tc.runs, tc.failing)
			}
		})
	}
}

func TestRestoreDoesNotChangeTheState(t *testing.T) {
	t.Parallel()
	s := frontier.State{Next: 1, Finished: []frontier.Run{{From: 2, To: 9}}, Failing: []frontier.Failing{{Offset: 1, Attempts: 1}}, Suspects: []int64{4}}
	f := frontier.Restore(s)
	for offset := range int64(5) {
		start(t, f, offset+1)
	}
	if s.Finished[0].From != 2 || s.Failing[0].Offset != 1 || s.Suspects[0] != 4 {
		t.Errorf("the state became %+v", plain(s))
	}
}

func TestStartRecallsTheRecord(t *testing.T) {
	t.Parallel()
	f := frontier.Restore(frontier.State{
		Next:     100,
		Finished: []frontier.Run{{From: 101, To: 101}, {From: 104, To: 110}},
		Failing:  []frontier.Failing{{Offset: 100, Attempts: 3, First: noon}, {Offset: 102, Attempts: 1}, {Offset: 111, Attempts: 2, First: noon}},
		Suspects: []int64{90, 100, 103, 106, 106},
	})
	for _, tc := range []struct {
		offset    int64
		finished  bool
		attempts  int
		first     time.Time
		suspected int
	}{
		{offset: 100, attempts: 3, first: noon, suspected: 3},
		{offset: 101, finished: true, suspected: 3},
		{offset: 103, suspected: 2},
		{offset: 105, finished: true, suspected: 2},
		{offset: 106, finished: true},
		{offset: 110, finished: true},
		{offset: 111, attempts: 2, first: noon},
		{offset: 112},
	} {
		m := start(t, f, tc.offset)
		attempts, first := m.Attempts()
		if m.Finished() != tc.finished || attempts != tc.attempts || first != tc.first || m.Suspected() != tc.suspected {
			t.Errorf("offset %d: finished %t, %d attempts since %v, suspected %d; want %+v",
				tc.offset, m.Finished(), attempts, first, m.Suspected(), tc)
		}
	}
}

func TestSuspectsCountTo255(t *testing.T) {
	t.Parallel()
	s := frontier.State{}
	for range 300 {
		s.Suspects = append(s.Suspects, 5)
	}
	f := frontier.Restore(s)
	if n := start(t, f, 4).Suspected(); n != 255 {
		t.Errorf("%d suspects above offset 4", n)
	}
	if n := start(t, f, 5).Suspected(); n != 0 {
		t.Errorf("%d suspects above offset 5", n)
	}
}

func TestStateOfManyRecordsBehindOneThatIsStuck(t *testing.T) {
	t.Parallel()
	const records = 100_000
	for _, tc := range []struct {
		name       string
		unfinished func(offset int64) bool
		least      int64 // of the finished records that are known after a restart
	}{
		{name: "all finished", unfinished: func(offset int64) bool { return offset == 0 }, least: records - 1},
		{name: "every second", unfinished: func(offset int64) bool { return offset%2 == 0 }, least: 1500},
		{name: "every fiftieth not", unfinished: func(offset int64) bool { return offset%50 == 0 }, least: 49 * 1500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := frontier.New(1 << 40)
			for offset := range int64(records) {
				m := start(t, f, 1<<40+offset)
				if !tc.unfinished(offset) {
					m.Finish()
				}
			}
			f.Advance()
			for _, r := range f.State().Finished {
				for offset := r.From; offset <= r.To; offset++ {
					if tc.unfinished(offset - 1<<40) {
						t.Fatalf("offset %d is unfinished in the run %v", offset, r)
					}
				}
			}
			again, known := frontier.Restore(reread(t, f.State())), int64(0)
			for offset := range int64(records) {
				if !start(t, again, 1<<40+offset).Finished() {
					continue
				}
				if tc.unfinished(offset) {
					t.Fatalf("offset %d would be skipped", offset)
				}
				known++
			}
			if known < tc.least {
				t.Errorf("%d finished records would not be handled again, want %d at least", known, tc.least)
			}
		})
	}
}

//nolint:paralleltest // AllocsPerRun counts the allocations of all goroutines
func TestStartAndAdvanceDoNotAllocate(t *testing.T) {
	f := frontier.Restore(frontier.State{Finished: []frontier.Run{{From: 1, To: 1 << 20}}, Suspects: []int64{1 << 30}})
	offset := int64(0)
	allocated := testing.AllocsPerRun(100, func() {
		for range 256 {
			start(t, f, offset).Finish()
			offset++
			f.Advance()
		}
	})
	if allocated > 1 {
		t.Errorf("256 records take %v allocations, want the one of their chunk", allocated)
	}
}

// The model of restarts: whoever reads the metadata of a commit skips what is in its runs, and nothing that is unfinished.
func TestNothingIsSkippedNorForgottenAcrossRestarts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		log := &partition{finished: map[int64]bool{}}
		at := rapid.Int64Range(0, 1<<40).Draw(t, "first")
		metadata := frontier.State{Next: at}.String()
		for range rapid.IntRange(1, 300).Draw(t, "records") {
			log.offsets = append(log.offsets, at)
			at += 1 + max(0, rapid.Int64Range(-4, 3).Draw(t, "gap"))
		}
		for range rapid.IntRange(1, 6).Draw(t, "owners") {
			metadata = log.own(t, metadata)
		}
		last := log.restore(t, metadata)
		for _, offset := range last.left {
			if m := last.start(t, offset); !m.Finished() {
				log.finished[offset] = true
				m.Finish()
			}
		}
		if next, _ := last.frontier.Advance(); next != log.offsets[len(log.offsets)-1]+1 {
			t.Fatalf("the frontier ends at %d", next)
		}
		for _, offset := range log.offsets {
			if !log.finished[offset] {
				t.Fatalf("offset %d was never handled", offset)
			}
		}
	})
}

// partition is a model of one: its records, and what really became of them.
type partition struct {
	offsets  []int64
	finished map[int64]bool
}

// owner is one that goes on from a commit.
type owner struct {
	log      *partition
	frontier *frontier.Frontier
	restored frontier.State
	left     []int64
	running  []*frontier.Mark
}

func (p *partition) restore(t *rapid.T, metadata string) *owner {
	s, err := frontier.Parse(metadata)
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{log: p, frontier: frontier.Restore(s), restored: s}
	for _, offset := range p.offsets {
		switch {
		case offset >= s.Next:
			o.left = append(o.left, offset)
		case !p.finished[offset]:
			t.Fatalf("offset %d is unfinished below the commit %d", offset, s.Next)
		}
	}
	return o
}

// own handles some records, and returns the metadata of the last commit before it ends.
func (p *partition) own(t *rapid.T, metadata string) string {
	o := p.restore(t, metadata)
	for _, step := range rapid.SliceOf(rapid.IntRange(0, 19)).Draw(t, "steps") {
		switch {
		case step < 10 && len(o.left) > 0:
			if m := o.start(t, o.left[0]); !m.Finished() {
				o.running = append(o.running, m)
			}
			o.left = o.left[1:]
		case step < 18 && len(o.running) > 0:
			o.attempt(t, step < 16)
		case step >= 18:
			metadata = o.commit(t)
		}
	}
	return metadata
}

// start starts a record and checks that it is known as the commit told.
func (o *owner) start(t *rapid.T, offset int64) *frontier.Mark {
	m := start(t, o.frontier, offset)
	if m.Finished() != within(o.restored.Finished, offset) {
		t.Fatalf("offset %d: finished %t, with the runs %v", offset, m.Finished(), o.restored.Finished)
	}
	if m.Finished() && !o.log.finished[offset] {
		t.Fatalf("offset %d is skipped, though nobody handled it", offset)
	}
	for _, f := range o.restored.Failing {
		if n, first := m.Attempts(); f.Offset == offset && (n != f.Attempts || first != f.First) {
			t.Fatalf("offset %d: %d attempts since %v, want %v", offset, n, first, f)
		}
	}
	return m
}

// attempt lets one of the running records succeed or fail.
func (o *owner) attempt(t *rapid.T, success bool) {
	i := rapid.IntRange(0, len(o.running)-1).Draw(t, "which")
	m := o.running[i]
	if success {
		m.Finish()
		o.log.finished[m.Offset()] = true
		o.running = append(o.running[:i], o.running[i+1:]...)
		return
	}
	n, first := m.Attempts()
	if n == 0 {
		first = noon.Add(time.Duration(m.Offset()%1000) * time.Second)
	}
	m.Fail(n+1, first)
}

// commit returns the metadata and checks that it tells the truth, and all that fits.
func (o *owner) commit(t *rapid.T) string {
	next, _ := o.frontier.Advance()
	s := o.frontier.State()
	if s.Next != next {
		t.Fatalf("state of %d at %d", s.Next, next)
	}
	metadata := s.String()
	if len(metadata) > frontier.MaxMetadata {
		t.Fatalf("metadata of %d bytes", len(metadata))
	}
	written, err := frontier.Parse(metadata)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(written, s) {
		t.Fatalf("read back %+v, want %+v", plain(written), plain(s))
	}
	for _, m := range o.running {
		if n, _ := m.Attempts(); within(s.Finished, m.Offset()) || n > 0 && !failing(s, m.Offset(), n) {
			t.Fatalf("offset %d, unfinished after %d attempts, in %+v", m.Offset(), n, plain(s))
		}
	}
	for _, offset := range o.log.offsets {
		started := len(o.left) == 0 || offset < o.left[0]
		if unfinished := !o.log.finished[offset]; unfinished && (offset < next || within(s.Finished, offset)) {
			t.Fatalf("offset %d is unfinished, in the commit of %+v", offset, plain(s))
		} else if !unfinished && started && offset >= next && !within(s.Finished, offset) && o.handled(offset) {
			t.Fatalf("offset %d is finished, not in %v", offset, s.Finished)
		}
	}
	return metadata
}

// handled tells whether this owner knows that the record is finished; one before it may have handled it without a commit.
func (o *owner) handled(offset int64) bool {
	for _, m := range o.running {
		if m.Offset() == offset {
			return false
		}
	}
	return true
}

func failing(s frontier.State, offset int64, attempts int) bool {
	for _, f := range s.Failing {
		if f.Offset == offset {
			return f.Attempts == attempts
		}
	}
	return false
}

func within(runs []frontier.Run, offset int64) bool {
	for _, r := range runs {
		if r.From <= offset && offset <= r.To {
			return true
		}
	}
	return false
}

func offsets(failing []frontier.Failing) (all []int64) {
	for _, f := range failing {
		all = append(all, f.Offset)
	}
	return all
}

// BenchmarkState is what a commit takes beside its request, of a full window.
func BenchmarkState(b *testing.B) {
	for name, unfinished := range map[string]func(offset int64) bool{
		"one stuck":    func(offset int64) bool { return offset == 0 },
		"every second": func(offset int64) bool { return offset%2 == 0 },
		"all fail":     func(int64) bool { return true },
	} {
		b.Run(name, func(b *testing.B) {
			f := frontier.New(1 << 33)
			for offset := range int64(16_384) {
				m := start(b, f, 1<<33+offset)
				if !unfinished(offset) {
					m.Finish()
				} else if name == "all fail" {
					m.Fail(1+int(offset%4), noon.Add(time.Duration(offset%60)*time.Second))
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				f.Advance()
				if len(f.State().String()) > frontier.MaxMetadata {
					b.Fatal("too long")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	s := frontier.State{Next: 1 << 33}
	for i := range int64(1500) {
		s.Finished = append(s.Finished, frontier.Run{From: 1<<33 + 2*i + 1, To: 1<<33 + 2*i + 1})
	}
	metadata := s.String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := frontier.Parse(metadata); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStartFinishAdvance(b *testing.B) {
	f, offset := frontier.New(0), int64(0)
	b.ReportAllocs()
	for b.Loop() {
		m, err := f.Start(offset)
		if err != nil {
			b.Fatal(err)
		}
		m.Finish()
		f.Advance()
		offset++
	}
}

func ExampleRestore() {
	f := frontier.New(100)
	for offset := range int64(4) {
		m, _ := f.Start(100 + offset)
		if offset == 0 {
			m.Fail(2, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
		} else {
			m.Finish()
		}
	}
	metadata := f.State().String() // travels with the commit of f.Next()

	s, err := frontier.Parse(metadata)
	if err != nil {
		fmt.Println(err)
	}
	f = frontier.Restore(s)
	for offset := range int64(5) {
		m, _ := f.Start(100 + offset)
		attempts, _ := m.Attempts()
		fmt.Println(m.Offset(), m.Finished(), attempts)
	}
	// Output:
	// 100 false 2
	// 101 true 0
	// 102 true 0
	// 103 true 0
	// 104 false 0
}
