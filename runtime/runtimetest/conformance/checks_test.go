package conformance

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// The checker of order finds what it is there for.
func TestDisorder(t *testing.T) {
	t.Parallel()
	call := func(process, number, nth, begin, end int, err error) entry {
		return entry{Call: Call{Process: process, ID: eventID("a", number), Nth: nth}, begin: begin, end: end, err: err}
	}
	for _, tc := range []struct {
		name  string
		calls []entry
		want  []string
	}{
		{"one after the other", []entry{call(1, 0, 1, 1, 2, nil), call(1, 1, 1, 3, 4, nil)}, nil},
		{"a retry", []entry{call(1, 0, 1, 1, 2, errFails), call(1, 0, 2, 3, 4, nil), call(1, 1, 1, 5, 6, nil)}, nil},
		{"given up after three", []entry{call(1, 0, 3, 1, 2, errFails), call(1, 1, 1, 3, 4, nil)}, nil},
		{"dropped", []entry{call(1, 0, 1, 1, 2, function.Drop("")), call(1, 1, 1, 3, 4, nil)}, nil},
		{"again by the next process", []entry{call(1, 0, 1, 1, 2, nil), call(1, 1, 1, 3, 4, nil), call(2, 0, 2, 5, 6, nil)}, nil},
		{"a killed process never ends", []entry{call(3, 0, 1, 1, 0, nil), call(1, 0, 2, 2, 3, nil)}, nil},
		{"two at a time", []entry{call(1, 0, 1, 1, 3, nil), call(1, 1, 1, 2, 4, nil)}, []string{"began while"}},
		{"one that never ended", []entry{call(1, 0, 1, 1, 0, nil), call(2, 0, 2, 2, 3, nil)}, []string{"began while"}},
		{"skipped", []entry{call(1, 0, 1, 1, 2, nil), call(1, 2, 1, 3, 4, nil)}, []string{"a/000002 came after a/000000"}},
		{"overtaken in a retry", []entry{call(1, 0, 1, 1, 2, errFails), call(1, 1, 1, 3, 4, nil)}, []string{"unfinished"}},
		{"overtaken while unavailable", []entry{call(1, 0, 9, 1, 2, function.Unavailable("db", errFails)), call(1, 1, 1, 3, 4, nil)}, []string{"unfinished"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &stage{killed: []int{3}, program: Program{Functions: []Function{{Attempts: 3}}}}
			got := s.disorder(tc.calls)
			if len(got) != len(tc.want) {
				t.Fatalf("found %q, want %q", got, tc.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tc.want[i]) {
					t.Errorf("found %q, want %q", got[i], tc.want[i])
				}
			}
		})
	}
}

func TestAnswersComeThroughAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"done": nil, "retry": errFails, "retry after": errStuck, "permanent": function.Permanent(errFails),
		"unavailable": function.Unavailable("db", errFails), "drop": function.Drop("because"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answerOf(err)
			if diff := cmp.Diff(a, answerOf(a.err())); diff != "" {
				t.Errorf("twice on its way (-once +twice):\n%s", diff)
			}
			if got, want := function.VerdictOf(a.err()), function.VerdictOf(err); got != want {
				t.Errorf("verdict %s, want %s", got, want)
			}
		})
	}
}

// The ends that a case waits for are those of the log.
func TestEndsAreThoseOfTheLog(t *testing.T) {
	t.Parallel()
	s := newStageOn(t, Door{}, runtimetest.Kafka(t, nil), 3)
	s.send(t, newEvents(5, keys(7)...)...)
	s.sendTo(t, s.in, 2, newEvents(3, "")...)
	want := map[int32]int64{}
	for _, r := range s.Records(t, s.in, 38) {
		want[r.Partition] = r.Offset + 1
	}
	if diff := cmp.Diff(want, s.ends[s.in]); diff != "" {
		t.Errorf("ends (-log +sent):\n%s", diff)
	}
}
