package conformance

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// offsets: commits that the program did not write.
var offsets = []testCase{
	{"commit reset by an operator to lower", nil, resetLower},
	{"commit reset by an operator to lower, with the metadata that was there", nil, resetLowerWithMetadata},
	{"commit reset by an operator to higher", nil, resetHigher},
	{"commit reset by an operator to higher, with the metadata that was there", nil, resetHigherWithMetadata},
	{"commit reset by an operator to none", nil, resetNone},
	{"corrupted commit metadata", []Capability{Ranges}, corruptedMetadata},
}

// leaveAt handles events 0 to 9 of key a but for one, and stops.
func leaveAt(t *testing.T, d Door, stuck int) *stage {
	t.Helper()
	s := newStage(t, d, 1)
	s.function().Order = function.Unordered
	s.act(func(_ context.Context, c Call) error {
		if c.number() == stuck {
			return errStuck
		}
		return nil
	})
	s.send(t, newEvents(10, "a")...)
	p := s.start(t)
	s.awaitHandled(t, 9)
	s.awaitOffset(t, 0, int64(stuck))
	p.stop(t)
	s.act(succeed)
	return s
}

// resume moves the commit, starts, waits for the end, and checks how often events from first on were called since.
func (s *stage) resume(t *testing.T, commit runtimetest.Commit, first int) {
	t.Helper()
	before := len(s.journal.calls())
	s.SetCommits(t, s.group, s.in, map[int32]runtimetest.Commit{0: commit})
	s.start(t)
	s.awaitEnds(t, s.in)
	again := map[int]int{}
	for _, e := range s.journal.calls()[before:] {
		again[e.number()]++
	}
	for n := range 10 {
		if want := n >= first; (again[n] > 0) != want {
			t.Errorf("event %d was called %d times since the commit was moved to %d", n, again[n], commit.Offset)
		}
	}
}

func resetLower(t *testing.T, d Door) {
	leaveAt(t, d, 5).resume(t, runtimetest.Commit{Offset: 3}, 3)
}

func resetLowerWithMetadata(t *testing.T, d Door) {
	s := leaveAt(t, d, 5)
	s.resume(t, runtimetest.Commit{Offset: 3, Metadata: s.Commits(t, s.group, s.in)[0].Metadata}, 3)
}

func resetHigher(t *testing.T, d Door) {
	leaveAt(t, d, 2).resume(t, runtimetest.Commit{Offset: 7}, 7)
}

func resetHigherWithMetadata(t *testing.T, d Door) {
	s := leaveAt(t, d, 2)
	s.resume(t, runtimetest.Commit{Offset: 7, Metadata: s.Commits(t, s.group, s.in)[0].Metadata}, 7)
}

func resetNone(t *testing.T, d Door) {
	s := leaveAt(t, d, 2)
	s.deleteCommits(t)
	s.start(t)
	s.awaitEnds(t, s.in)
	for n := range 10 {
		if n != 2 {
			s.checkCalls(t, eventID("a", n), 2)
		}
	}
}

// deleteCommits takes the commits of a group without members away.
func (s *stage) deleteCommits(t *testing.T) {
	t.Helper()
	partition := kmsg.NewOffsetDeleteRequestTopicPartition()
	topic := kmsg.NewOffsetDeleteRequestTopic()
	topic.Topic = s.in
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrOffsetDeleteRequest()
	request.Group = s.group
	request.Topics = append(request.Topics, topic)
	s.request(t, request)
	if got := s.Committed(t, s.group, s.in); len(got) != 0 {
		t.Fatalf("committed %v although the commits were deleted", got)
	}
}

// swapLetter puts another letter at a place.
func swapLetter(m string, at int) string {
	letter := "A"
	if m[at] == 'A' {
		letter = "B"
	}
	return m[:at] + letter + m[at+1:]
}

// damages are ways in which metadata can be spoilt.
var damages = map[string]func(string) string{
	"nothing left":         func(string) string { return "" },
	"first half":           func(m string) string { return m[:len(m)/2] },
	"second half":          func(m string) string { return m[len(m)/2:] },
	"longer":               func(m string) string { return m + "A" },
	"twice":                func(m string) string { return m + m },
	"first character":      func(m string) string { return "Z" + m[min(1, len(m)):] },
	"last character":       func(m string) string { return m[:max(len(m)-1, 0)] + "~" },
	"letter at a quarter":  func(m string) string { return swapLetter(m, len(m)/4) },
	"letter in the middle": func(m string) string { return swapLetter(m, len(m)/2) },
	"letter at the end":    func(m string) string { return swapLetter(m, len(m)*7/8) },
	"as long as can be":    func(string) string { return strings.Repeat("A", 4096) },
	"another program's":    func(string) string { return `{"version":1,"ranges":[[0,9]]}` },
	"no characters":        func(string) string { return "\x00\x01\u00ff\u2028\U0001F680" },
}

// corruptedMetadata damages what a process wrote, in a way of its own for each partition.
func corruptedMetadata(t *testing.T, d Door) {
	names := slices.Sorted(maps.Keys(damages))
	s := newStage(t, d, int32(len(names))) //nolint:gosec // a dozen partitions
	s.act(func(_ context.Context, c Call) error {
		if c.number() == 3 {
			return errStuck
		}
		return nil
	})
	s.function().Order = function.Unordered
	for partition, name := range names {
		s.sendTo(t, s.in, int32(partition), newEvents(10, name)...)
	}
	first := s.start(t)
	s.awaitHandled(t, 9*len(names))
	first.stop(t)
	s.act(succeed)
	damaged := s.Commits(t, s.group, s.in)
	for partition, name := range names {
		commit := damaged[int32(partition)]
		if commit.Offset != 3 {
			t.Errorf("offset %d is committed for partition %d, want 3", commit.Offset, partition)
		}
		commit.Metadata = damages[name](commit.Metadata)
		damaged[int32(partition)] = commit
	}
	s.SetCommits(t, s.group, s.in, damaged)
	before := len(s.journal.calls())
	s.start(t)
	s.awaitEnds(t, s.in)
	again := map[string]int{}
	for _, e := range s.journal.calls()[before:] {
		again[e.ID]++
	}
	for _, name := range names {
		for n := range 10 {
			want := 0
			if n >= 3 {
				want = 1
			}
			if got := again[eventID(name, n)]; got != want {
				t.Errorf("metadata with damage %q: event %d was handled %d times again, want %d", name, n, got, want)
			}
		}
	}
}
