package conformance

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// loads: many records behind few.
var loads = []testCase{
	{"very many failing records are bounded", nil, manyFail},
	{"very many done behind one stuck", []Capability{Ranges}, manyBehindOne},
}

// sendMany writes many events, each with a key of its own and data of a size.
func sendMany(t *testing.T, s *stage, size int) {
	t.Helper()
	data := bytes.Repeat([]byte("x"), size)
	for first := 0; first < many; first += many / 10 {
		records := newEvents(many/10, "")
		for i, r := range records {
			id := eventID("k", first+i)
			r.Key, r.Value, r.Headers = []byte(id), data, attributes(id, "", inType)
		}
		s.sendTo(t, s.in, 0, records...)
	}
}

// manyFail has every record fail until the window is full. Memory is that of the window: what is not fetched cannot fail.
func manyFail(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	f := s.function()
	f.Output, f.Attempts, f.Order = "", 100, function.Unordered
	s.program.Variables["WINDOW_RECORDS"], s.program.Variables["LOG_LEVEL"] = "1000", "warn"
	other := *f
	other.Name, other.Topic = "conformance-other", s.NewTopic(t, 1)
	s.program.Functions = append(s.program.Functions, other)
	var up atomic.Bool
	s.act(func(_ context.Context, c Call) error {
		if up.Load() || c.Function == other.Name {
			return nil
		}
		return function.RetryAfter(time.Second, errFails)
	})
	// Together 40 MB: what two fetch responses of 8 MiB hold is less than half of them.
	sendMany(t, s, 40_000_000/many)
	s.start(t)
	runtimetest.Eventually(t, "the window full, and each record in it tried twice", func() bool { return s.journal.mostCalls() > 2 })
	// The partition is paused, and the member is not: another topic flows.
	s.sendTo(t, other.Topic, 0, newEvents(10, "a")...)
	s.awaitEnds(t, other.Topic)
	s.checkNotBeyond(t, 0)
	tried := s.journal.subjects()
	// What was fetched when the window filled is tried as well.
	if tried > many/2 {
		t.Errorf("%d records were tried, with a window of 1000", tried)
	}
	up.Store(true)
	s.awaitEnds(t, s.in)
	s.noLetters(t)
}

// manyBehindOne handles many records but the first, which is handled after a restart.
func manyBehindOne(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.function().Output = ""
	s.program.Variables["WINDOW_RECORDS"], s.program.Variables["LOG_LEVEL"] = "1000", "warn"
	s.act(func(_ context.Context, c Call) error {
		if c.number() == 0 {
			return errStuck
		}
		return nil
	})
	sendMany(t, s, 0)
	first := s.start(t)
	s.awaitHandled(t, many-1)
	first.stop(t)
	commit := s.Commits(t, s.group, s.in)[0]
	if commit.Offset != 0 {
		t.Errorf("offset %d is committed, and record 0 is unfinished", commit.Offset)
	}
	if size := len(commit.Metadata); size > 4096 {
		t.Errorf("metadata of %d bytes", size)
	}
	s.act(succeed)
	before := len(s.journal.calls())
	s.start(t)
	s.awaitHandled(t, many)
	s.awaitEnds(t, s.in)
	if again := len(s.journal.calls()) - before; again != 1 && d.can(Ranges) {
		t.Errorf("%d records were handled after the restart, want the one that was not finished", again)
	}
	s.noLetters(t)
}
