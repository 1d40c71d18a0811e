package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

const second = time.Second

// clean is a history in which everything went well, although much happened. Partition 0 holds the key "k" with events a,
// b, c and d, which fails, and the key "other" with e. Process one handles a, is killed in b, and two goes on behind a.
func clean() *history.History {
	event := func(id, key string, offset int64, fails bool) history.Event {
		return history.Event{ID: id, Key: key, Position: history.Position{Offset: offset}, Fails: fails}
	}
	output := func(cause string, offset int64) history.Output {
		return history.Output{ID: "of-" + cause, Cause: cause, Position: history.Position{Partition: 1, Offset: offset}}
	}
	outputs := []history.Output{output("a", 0), output("b", 1), output("c", 2), output("e", 3)}
	return &history.History{
		Attempts:   2,
		Processors: 1,
		Events: []history.Event{
			event("a", "k", 0, false), event("b", "k", 1, false), event("c", "k", 2, false), event("d", "k", 3, true),
			event("e", "other", 5, false),
		},
		Calls: []history.Call{
			{Process: "one", Event: "a", Start: 1 * second, End: 2 * second},
			{Process: "one", Event: "b", Start: 2 * second},
			{Process: "two", Event: "b", Start: 6 * second, End: 7 * second},
			{Process: "two", Event: "e", Start: 6 * second, End: 9 * second},
			{Process: "two", Event: "c", Start: 7 * second, End: 8 * second},
			{Process: "two", Event: "d", Start: 8 * second, End: 9 * second, Failed: true},
			{Process: "two", Event: "d", Start: 10 * second, End: 11 * second, Failed: true},
		},
		Exits:  map[string]time.Duration{"one": 3 * second},
		Faults: []history.Fault{{Kind: "SIGKILL", Process: "one", From: 3 * second, Until: 4 * second}},
		Samples: []history.Sample{
			{At: 5 * second, Committed: 1, Outputs: map[int32]int64{1: 1}, Letters: map[int32]int64{}},
			{At: 9 * second, Committed: 3, Outputs: map[int32]int64{1: 3}, Letters: map[int32]int64{}},
			{At: 20 * second, Committed: 6, Outputs: map[int32]int64{1: 4}, Letters: map[int32]int64{0: 1}},
		},
		Outputs: outputs,
		Seen:    slices.Clone(outputs),
		Letters: []history.Letter{{Event: "d", Original: history.Position{Offset: 3}}},
	}
}

// call is a call from one second to another.
func call(process, event string, start, end int) history.Call {
	return history.Call{Process: process, Event: event, Start: time.Duration(start) * second, End: time.Duration(end) * second}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*history.History)
		want   string
	}{
		"clean":               {func(*history.History) {}, ""},
		"clean, exactly once": {func(h *history.History) { h.ExactlyOnce = true }, ""},
		"never handled": {func(h *history.History) {
			h.Events = append(h.Events, history.Event{ID: "z", Position: history.Position{Offset: 9}})
		}, "lost"},
		"handled without output": {func(h *history.History) {
			h.Outputs, h.Seen = h.Outputs[:3], h.Seen[:3]
		}, "lost early"},
		"killed and forgotten": {func(h *history.History) { h.Calls = slices.Delete(h.Calls, 2, 3) }, "lost order early"},
		"failed last":          {func(h *history.History) { h.Calls[4].Failed = true }, "lost order early"},
		"without dead letter":  {func(h *history.History) { h.Letters = nil }, "lost early deadletters"},

		"two calls at once": {func(h *history.History) {
			h.Calls[4].Start = 6900 * time.Millisecond
		}, "order"},
		"later event first": {func(h *history.History) {
			h.Calls[2], h.Calls[4] = call("two", "b", 7, 8), call("two", "c", 6, 7)
		}, "order"},
		"retry behind a later event": {func(h *history.History) {
			h.Calls = append(h.Calls, call("two", "c", 9, 10))
		}, "order"},
		"again after a release": {func(h *history.History) {
			h.Releases = append(h.Releases, history.Release{Process: "two", At: 12 * second})
			h.Calls = append(h.Calls, call("two", "b", 13, 14), call("two", "c", 14, 15))
		}, ""},
		"again after another partition's release": {func(h *history.History) {
			h.Releases = append(h.Releases, history.Release{Process: "two", Partition: 1, At: 12 * second})
			h.Calls = append(h.Calls, call("two", "b", 13, 14), call("two", "c", 14, 15))
		}, "order"},
		"another process during a call": {func(h *history.History) {
			h.Exits = nil
		}, "order"},
		"another process during a call of one that was paused": {func(h *history.History) {
			h.Exits = nil
			h.Calls[1].End = 8 * second
			h.Faults = []history.Fault{{Kind: "SIGSTOP", Process: "one", From: 3 * second, Until: 8 * second, Silences: true, Stops: true}}
		}, ""},
		"another process during a call of one that was paused later": {func(h *history.History) {
			h.Exits = nil
			h.Calls[1].End = 10 * second
			h.Faults = []history.Fault{{Kind: "SIGSTOP", Process: "one", From: 9 * second, Until: 10 * second, Silences: true, Stops: true}}
		}, "order"},
		"same process during a call that was paused": {func(h *history.History) {
			h.Calls = append(h.Calls, call("two", "d", 10, 11))
			h.Faults = append(h.Faults, history.Fault{Kind: "SIGSTOP", Process: "two", From: 10 * second, Until: 12 * second, Silences: true})
		}, "order attempts"},
		"first start after the pause": {func(h *history.History) {
			delete(h.Exits, "one")
			h.Calls[1].End = 3 * second
			h.Calls = append(h.Calls, call("one", "c", 15, 16))
			h.Faults = []history.Fault{{Kind: "SIGSTOP", Process: "one", From: 3 * second, Until: 15 * second, Silences: true, Stops: true}}
		}, ""},
		"second start after the pause": {func(h *history.History) {
			delete(h.Exits, "one")
			h.Calls[1].End = 3 * second
			h.Calls = append(h.Calls, call("one", "e", 15, 15), call("one", "c", 16, 17))
			h.Faults = []history.Fault{{Kind: "SIGSTOP", Process: "one", From: 3 * second, Until: 15 * second, Silences: true, Stops: true}}
		}, "order"},
		"second start after the pause of two processors": {func(h *history.History) {
			h.Processors = 2
			delete(h.Exits, "one")
			h.Calls[1].End = 3 * second
			h.Calls = append(h.Calls, call("one", "e", 15, 15), call("one", "c", 16, 17))
			h.Faults = []history.Fault{{Kind: "SIGSTOP", Process: "one", From: 3 * second, Until: 15 * second, Silences: true, Stops: true}}
		}, ""},
		"start after being cut off": {func(h *history.History) {
			delete(h.Exits, "one")
			h.Calls[1].End = 3 * second
			h.Calls = append(h.Calls, call("one", "c", 15, 16))
			h.Faults = []history.Fault{{Kind: "half-open", Process: "one", From: 3 * second, Until: 15 * second, Silences: true}}
		}, "order"},

		"one call too many": {func(h *history.History) { h.Attempts = 1 }, "attempts"},
		"one killed call too many": {func(h *history.History) {
			h.Calls = append(h.Calls, history.Call{Process: "two", Event: "d", Start: 12 * second})
		}, "attempts"},

		"committed while handled": {func(h *history.History) { h.Samples[1].At = 7500 * time.Millisecond }, "early"},
		"committed before the output": {func(h *history.History) {
			h.Samples[1].Outputs = map[int32]int64{1: 2}
		}, "early"},
		"committed before the dead letter": {func(h *history.History) {
			h.Samples[2].Letters = map[int32]int64{0: 0}
		}, "early"},
		"ends unknown": {func(h *history.History) {
			h.Samples[1].Outputs, h.Samples[2].Letters = nil, nil
		}, ""},
		"committed lower again": {func(h *history.History) {
			h.Samples = slices.Insert(h.Samples, 2, history.Sample{At: 10 * second, Committed: 1})
		}, ""},

		"letter of what does not fail": {func(h *history.History) {
			h.Letters = append(h.Letters, history.Letter{Event: "a", Position: history.Position{Offset: 1}})
		}, "deadletters"},
		"letter of nothing": {func(h *history.History) {
			h.Letters = append(h.Letters, history.Letter{Event: "zz", Position: history.Position{Offset: 1}})
		}, "deadletters"},
		"letter from elsewhere": {func(h *history.History) { h.Letters[0].Original.Offset = 7 }, "deadletters"},
		"two letters": {func(h *history.History) {
			h.Letters = append(h.Letters, history.Letter{Event: "d", Position: history.Position{Offset: 1}, Original: history.Position{Offset: 3}})
		}, ""},
		"two letters, exactly once": {func(h *history.History) {
			h.ExactlyOnce = true
			h.Letters = append(h.Letters, history.Letter{Event: "d", Position: history.Position{Offset: 1}, Original: history.Position{Offset: 3}})
		}, "deadletters"},

		"output twice":               {again("of-a", "a"), ""},
		"output twice, exactly once": {func(h *history.History) { h.ExactlyOnce = true; again("of-a", "a")(h) }, "outputs"},
		"output of another id":       {again("another", "a"), "outputs"},
		"output of a failure":        {again("of-d", "d"), "outputs"},
		"output of nothing":          {again("of-z", "z"), "outputs"},
		"one output of two events":   {again("of-b", "a"), "outputs"},
		"aborted output seen": {func(h *history.History) {
			h.Seen = append(h.Seen, history.Output{ID: "of-a", Cause: "a", Position: history.Position{Offset: 77}})
		}, "outputs"},
		"output seen twice": {func(h *history.History) { h.Seen = append(h.Seen, h.Seen[0]) }, "outputs"},
		"other output seen": {func(h *history.History) { h.Seen[0].ID = "else" }, "outputs"},
		"output passed by":  {func(h *history.History) { h.Seen = h.Seen[1:] }, "outputs"},
		"transaction left":  {func(h *history.History) { h.Open = []string{"group-1"} }, "open"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := clean()
			test.change(h)
			report, err := history.Check(h)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range report.Violations {
				got = append(got, string(v.Law))
			}
			if got = slices.Compact(got); strings.Join(got, " ") != test.want {
				t.Errorf("found %q, want %q:\n%+v", got, test.want, report.Violations)
			}
		})
	}
}

// again adds an output that a reader has seen.
func again(id, cause string) func(*history.History) {
	return func(h *history.History) {
		o := history.Output{ID: id, Cause: cause, Position: history.Position{Partition: 2, Offset: 9}}
		h.Outputs, h.Seen = append(h.Outputs, o), append(h.Seen, o)
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*history.History)
		says   string
	}{
		"nothing":       {func(h *history.History) { h.Events = nil }, "there are no events"},
		"event twice":   {func(h *history.History) { h.Events[1].ID = "a" }, "event a stands twice in the topic: at 0@0 and 0@1"},
		"unknown event": {func(h *history.History) { h.Calls[0].Event = "z" }, "one called its handler for event z"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := clean()
			test.change(h)
			if _, err := history.Check(h); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error with %q in it", err, test.says)
			}
		})
	}
}
