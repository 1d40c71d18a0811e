//go:build unix

package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

func TestJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(filepath.Join(dir, "p.journal"))
	if err != nil {
		t.Fatal(err)
	}
	before := monotonic()
	j.joined()
	first := j.start(monotonic(), "a")
	second := j.start(monotonic(), "b")
	j.end(first, "failed")
	j.released(2)
	third := j.start(monotonic(), "a")
	j.end(third, "ok")
	_ = second // killed in between

	e, err := readJournalFile(dir, "p")
	if err != nil {
		t.Fatal(err)
	}
	if !e.joined || len(e.releases) != 1 || e.releases[0].Partition != 2 || e.releases[0].Process != "p" {
		t.Errorf("got joined %v and releases %+v, want true and one of partition 2", e.joined, e.releases)
	}
	var told []string
	last := before
	for _, c := range e.calls {
		told = append(told, c.Event+" "+map[bool]string{true: "failed", false: "ok"}[c.Failed]+" "+map[bool]string{true: "open", false: "ended"}[c.End == 0])
		if c.Start < last || c.End != 0 && c.End < c.Start || c.Start > monotonic() {
			t.Errorf("%+v: times are not in order", c)
		}
		last = c.Start
	}
	if want := []string{"a failed ended", "b ok open", "a ok ended"}; !slices.Equal(told, want) {
		t.Errorf("got calls %q, want %q", told, want)
	}
}

// TestJournalIsShared has several processes' worth of goroutines write, as workers do.
func TestJournalIsShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(filepath.Join(dir, "p.journal"))
	if err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			for range 100 {
				j.end(j.start(monotonic(), "event"), "ok")
			}
		})
	}
	workers.Wait()
	e, err := readJournalFile(dir, "p")
	if err != nil || len(e.calls) != 2000 {
		t.Fatalf("got %d calls, %v, want 2000", len(e.calls), err)
	}
	if slices.ContainsFunc(e.calls, func(c history.Call) bool { return c.End == 0 }) {
		t.Error("some calls have no end")
	}
}

func TestReadJournalErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		ok   bool
	}{
		"empty":            {"", true},
		"cut by a kill":    {"start 5 1 a\nend 6", true},
		"end without call": {"end 5 1 ok\n", false},
		"two ends":         {"start 5 1 a\nend 6 1 ok\nend 7 1 ok\n", false},
		"no time":          {"start x 1 a\n", false},
		"blank":            {"\n", false},
		"unknown word":     {"begin 5 1 a\n", false},
		"bad partition":    {"release 5 x\n", false},
		"too many words":   {"joined 5 6\n", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := readJournal("p", strings.NewReader(test.text)); (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzReadJournal(f *testing.F) {
	f.Add("joined 5\nstart 5 1 a\nend 6 1 ok\nrelease 7 2\n")
	f.Add("start 9223372036854775807 1 a\nend 5 1 failed\nsta")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := readJournal("p", strings.NewReader(text))
		if err != nil {
			return
		}
		lines := strings.Count(text, "\n")
		if len(e.calls)+len(e.releases) > lines {
			t.Errorf("read %d calls and %d releases of %d lines", len(e.calls), len(e.releases), lines)
		}
	})
}

func TestFollower(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "p.journal")
	j, err := openJournal(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := follow(name)
	if err != nil {
		t.Fatal(err)
	}
	if f.busy() {
		t.Error("busy before anything was called")
	}
	call := j.start(monotonic(), "a")
	runtimetest.Eventually(t, "the call to be seen", f.busy)
	if at := f.running["1"]; monotonic()-at < settled {
		t.Error("a call counts that has only just begun")
	}
	j.end(call, "ok")
	if f.busy() {
		t.Error("busy after the end of the only call")
	}
}

func TestMonotonic(t *testing.T) {
	t.Parallel()
	times := []time.Duration{monotonic(), monotonic(), monotonic()}
	if times[0] <= 0 || !slices.IsSortedFunc(times, cmp.Compare) {
		t.Errorf("got %v, want positive times that grow", times)
	}
}
