package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

func check(t *testing.T, h *history.History) *history.Report {
	t.Helper()
	report, err := history.Check(h)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestReport(t *testing.T) {
	t.Parallel()
	report := check(t, clean())
	if got, want := report.String(), "SOAK lost=0 order=0 attempts=0 early=0 deadletters=0 outputs=0 open=0 faults=1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if report.Takeovers != 1 || report.Retried != 1 || report.Repeated != 1 {
		t.Errorf("%d takeovers, %d retried, %d repeated, want one of each", report.Takeovers, report.Retried, report.Repeated)
	}
	h := clean()
	h.Open, h.Letters = []string{"x", "y"}, nil
	if got, want := check(t, h).String(), "SOAK lost=1 order=0 attempts=0 early=1 deadletters=1 outputs=0 open=2 faults=1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestViolation tells what a reader needs to find the cause.
func TestViolation(t *testing.T) {
	t.Parallel()
	h := clean()
	h.Samples[0].Committed = 2
	report := check(t, h)
	if len(report.Violations) != 1 {
		t.Fatalf("found %+v, want one violation", report.Violations)
	}
	v := report.Violations[0]
	for _, want := range []string{
		"offset 2 of partition 0 was committed at 5.000s", "event b (key k, 0@1)", "one started b at 2.000s, never ended",
		"two started b at 6.000s, ended 7.000s",
	} {
		if !strings.Contains(v.What, want) {
			t.Errorf("want %q in: %s", want, v.What)
		}
	}
	if len(v.Nearby) != 1 || v.Nearby[0].String() != "3.000s to 4.000s: SIGKILL (one)" {
		t.Errorf("nearby: %v, want the one fault", v.Nearby)
	}
}

func TestVoid(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*history.History)
		want   []string
	}{
		"enough": {func(*history.History) {}, nil},
		"idle": {func(h *history.History) {
			h.Faults[0].From = 5 * second
		}, []string{"SIGKILL: 0 of 1 landed on work in flight"}},
		"another's work": {func(h *history.History) {
			h.Faults[0].Process = "two"
		}, []string{"SIGKILL: 0 of 1 landed on work in flight"}},
		"missed": {func(h *history.History) {
			h.Faults[0].Missed = true
		}, []string{"SIGKILL: 0 of 1 landed on work in flight"}},
		"idle but delivered": {func(h *history.History) {
			h.Faults[0].From, h.Faults[0].Delivered = 5*second, true
		}, nil},
		"half is enough": {func(h *history.History) {
			h.Faults = append(h.Faults, history.Fault{Kind: "SIGKILL", From: 100 * second, Until: 100 * second})
		}, nil},
		"no faults": {func(h *history.History) { h.Faults = nil }, []string{"there was no fault"}},
		"one process": {func(h *history.History) {
			h.Calls = slices.Delete(h.Calls, 0, 2)
			h.Calls = append(h.Calls, call("two", "a", 4, 5))
			h.Faults[0] = history.Fault{Kind: "cut", From: 4 * second, Until: 4 * second}
		}, []string{"no partition went from one process to another"}},
		"no retry": {func(h *history.History) {
			h.Calls = slices.Delete(h.Calls, 6, 7)
		}, []string{"no failing event was tried again"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := clean()
			test.change(h)
			if got := check(t, h).Void(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestCheckIsQuick judges as many calls as a long run makes.
func TestCheckIsQuick(t *testing.T) {
	t.Parallel()
	h := &history.History{Attempts: 1}
	for i := range 200_000 {
		id := time.Duration(i).String()
		p := history.Position{Partition: int32(i % 3), Offset: int64(i / 3)}
		h.Events = append(h.Events, history.Event{ID: id, Key: time.Duration(i % 1000).String(), Position: p})
		h.Calls = append(h.Calls, history.Call{Process: "p", Event: id, Start: time.Duration(i + 1), End: time.Duration(i + 2)})
		h.Outputs = append(h.Outputs, history.Output{ID: id, Cause: id, Position: p})
	}
	h.Seen = h.Outputs
	for i := range 100 {
		h.Releases = append(h.Releases, history.Release{Process: "p", At: time.Duration(i)})
		h.Faults = append(h.Faults, history.Fault{Kind: "cut", From: time.Duration(i)})
	}
	for i := range 10_000 {
		h.Samples = append(h.Samples, history.Sample{At: time.Hour, Partition: int32(i % 3), Committed: int64(i)})
	}
	began := time.Now()
	if report := check(t, h); len(report.Violations) != 0 {
		t.Errorf("found %d violations, such as %+v", len(report.Violations), report.Violations[0])
	}
	if took := time.Since(began); took > 20*second {
		t.Errorf("took %s", took)
	}
}
