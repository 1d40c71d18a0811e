package conformance

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// succeed is the script of a handler that does its work.
func succeed(context.Context, Call) error { return nil }

// checkCalls checks how often handlers were called for an event.
func (s *stage) checkCalls(t *testing.T, id string, want int) {
	t.Helper()
	if got := len(s.journal.callsOf(id)); got != want {
		t.Errorf("%s: %d calls of its handler, want %d", id, got, want)
	}
}

// checkCallsAtMost checks that no event was handled more than limit times.
func (s *stage) checkCallsAtMost(t *testing.T, limit int) {
	t.Helper()
	for _, e := range s.journal.calls() {
		if e.Nth > limit {
			t.Errorf("%s: call %d of its handler, want at most %d", e.ID, e.Nth, limit)
		}
	}
}

// checkNotBeyond checks that no offset of topic in beyond limit is committed for any partition.
func (s *stage) checkNotBeyond(t *testing.T, limit int64) {
	t.Helper()
	for partition, offset := range s.Committed(t, s.group, s.in) {
		if offset > limit {
			t.Errorf("offset %d is committed for partition %d, beyond what is unfinished at %d", offset, partition, limit)
		}
	}
}

// checkOrder checks law 3 for each function and key: one call at a time, and an event is first handled when the one
// before it is done with. What an earlier process did may be done again.
func (s *stage) checkOrder(t *testing.T) {
	t.Helper()
	byKey := map[subject][]entry{}
	for _, e := range s.journal.calls() {
		of := subject{e.Function, e.Key()}
		byKey[of] = append(byKey[of], e)
	}
	for of, calls := range byKey {
		for _, problem := range s.disorder(calls) {
			t.Errorf("key %q of %s: %s", of.id, of.function, problem)
		}
	}
}

// disorder returns what is wrong with the calls of one key.
func (s *stage) disorder(calls []entry) (problems []string) {
	newest := calls[0]
	for i, e := range calls[1:] {
		before := calls[i]
		if !s.wasKilled(before.Process) && (before.end == 0 || before.end > e.begin) {
			problems = append(problems, fmt.Sprintf("%s began while %s ran", e.ID, before.ID))
		}
		switch {
		case e.ID < newest.ID:
		case e.ID == newest.ID:
			newest = e
		case e.number() != newest.number()+1:
			problems = append(problems, fmt.Sprintf("%s came after %s", e.ID, newest.ID))
			newest = e
		default:
			if !s.settled(newest) {
				problems = append(problems, fmt.Sprintf("%s began although call %d of %s had left that unfinished: %v", e.ID, newest.Nth, newest.ID, newest.err))
			}
			newest = e
		}
	}
	return problems
}

// settled tells whether nothing remains to be done for an event after this call.
func (s *stage) settled(e entry) bool {
	switch function.VerdictOf(e.err) {
	case function.Done, function.Dropped, function.DeadLetter:
		return e.end != 0
	case function.Broken:
		return false
	case function.Retry:
		return e.Nth >= s.function().Attempts
	}
	return false
}

// number is n of event n of a key.
func (c Call) number() int {
	var n int
	_, _ = fmt.Sscanf(c.ID[len(c.Key())+1:], "%d", &n) // the suite made it
	return n
}

// outputs waits until topic out holds events caused by n different ones, and returns how many are caused by each. Their
// ids must be those that law 8 derives.
func (s *stage) outputs(t *testing.T, n int) map[string]int {
	t.Helper()
	causes := map[string]int{}
	for deadline := time.Now().Add(runtimetest.Patience); ; {
		clear(causes)
		for _, r := range s.Records(t, s.out, n) {
			cause := headerOf(r, "ce_"+function.CausationID)
			causes[cause]++
			if got, want := headerOf(r, "ce_id"), function.EmittedID(s.function().Name, source, cause, 0); got != want {
				t.Errorf("the output of %s has the id %s, want %s", cause, got, want)
			}
		}
		if len(causes) >= n {
			return causes
		}
		if time.Now().After(deadline) {
			t.Fatalf("topic %s holds outputs of %d events, want %d", s.out, len(causes), n)
		}
	}
}

// checkOutputs checks that n events caused one output each, and no others any.
func (s *stage) checkOutputs(t *testing.T, n int) {
	t.Helper()
	causes := s.outputs(t, n)
	if len(causes) != n {
		t.Errorf("%d events caused outputs, want %d", len(causes), n)
	}
	for cause, count := range causes {
		if count != 1 {
			t.Errorf("%s caused %d outputs, want 1", cause, count)
		}
	}
}

// noLetters checks that nothing is dead-lettered.
func (s *stage) noLetters(t *testing.T) {
	t.Helper()
	for _, r := range s.Records(t, s.letters, 0) {
		t.Errorf("a dead letter of %s: %s", headerOf(r, "ce_id"), headerOf(r, "dlq-failure-reason"))
	}
}

// checkOriginal checks that a dead letter begins with the bytes of the record that failed.
func checkOriginal(t *testing.T, letter, record *kgo.Record) {
	t.Helper()
	if !same(letter.Key, record.Key) || !same(letter.Value, record.Value) {
		t.Errorf("the dead letter has key %#v and value %#v, want %#v and %#v", letter.Key, letter.Value, record.Key, record.Value)
	}
	if len(letter.Headers) < len(record.Headers) {
		t.Fatalf("the dead letter has %d headers, the record %d", len(letter.Headers), len(record.Headers))
	}
	if diff := cmp.Diff(record.Headers, letter.Headers[:len(record.Headers)]); diff != "" {
		t.Errorf("the original's headers in the dead letter (-want +got):\n%s", diff)
	}
}

// offsetOf returns the offset of the record that a dead letter is about.
func offsetOf(t *testing.T, letter *kgo.Record) int {
	t.Helper()
	offset, err := strconv.Atoi(headerOf(letter, deadletter.HeaderOffset))
	if err != nil {
		t.Fatal(err)
	}
	return offset
}

// same tells whether a and b are the same bytes, and null where one of them is.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// checkHeaders checks values of a record's headers.
func checkHeaders(t *testing.T, r *kgo.Record, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := headerOf(r, name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
}

// wasKilled tells whether a process was killed: nobody knows when its handlers ended.
func (s *stage) wasKilled(number int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.killed, number)
}
