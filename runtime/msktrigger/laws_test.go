package msktrigger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/msktrigger"
)

// scenario is an invocation that is to be tried.
type scenario struct {
	records []record
	order   function.Order
	timeout time.Duration
	options msktrigger.Options
	writes  []error
}

func drawScenario(t *rapid.T) *scenario {
	duration := func(low, high time.Duration, label string) time.Duration {
		return time.Duration(rapid.Int64Range(int64(low/time.Millisecond), int64(high/time.Millisecond)).Draw(t, label)) * time.Millisecond
	}
	s := &scenario{
		order:   rapid.SampledFrom([]function.Order{function.ByKey, function.ByPartition, function.Unordered}).Draw(t, "order"),
		timeout: duration(100*time.Millisecond, 20*time.Second, "timeout"),
		options: msktrigger.Options{
			Workers:  rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "workers"),
			Margin:   duration(0, 2*time.Second, "margin"),
			Patience: duration(0, 10*time.Second, "patience"),
		},
		writes: make([]error, rapid.IntRange(0, 3).Draw(t, "writes that fail")),
	}
	for i := range s.writes {
		s.writes[i] = errors.New("the broker is away")
	}
	boom := errors.New("boom")
	// What handlers do never ends in the very moment in which the time is over, for both would be right then.
	const odd = 1001 * time.Nanosecond
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			err: rapid.SampledFrom([]error{
				nil, nil, boom, function.Permanent(boom), function.Drop("why not"), function.Unavailable("db", boom),
				function.RetryAfter(3*time.Second, boom), function.RetryAfter(time.Hour, boom),
			}).Draw(t, "error"),
			panic: rapid.IntRange(0, 9).Draw(t, "panic") == 9,
			takes: rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond + odd, time.Second + odd, 30*time.Second + odd}).Draw(t, "takes"),
			deaf:  rapid.IntRange(0, 5).Draw(t, "deaf") == 5,
			emits: rapid.SampledFrom([]time.Duration{0, time.Millisecond + odd, 2*time.Second + odd}).Draw(t, "emits"),
		}
	})
	for partition := range rapid.IntRange(1, 3).Draw(t, "partitions") {
		for i := range rapid.IntRange(0, 8).Draw(t, "records") {
			s.records = append(s.records, record{
				partition: partition, offset: int64(100 + 2*i),
				key:    rapid.SampledFrom([]string{"a", "b", "c", "", "-"}).Draw(t, "key"),
				steps:  rapid.SliceOfN(one, 0, 4).Draw(t, "steps"),
				poison: rapid.IntRange(0, 9).Draw(t, "poison") == 9,
			})
		}
	}
	return s
}

// lane names the records that must be handled one after the other.
func (s *scenario) lane(r *record) string {
	switch s.order {
	case function.Unordered:
		return r.id()
	case function.ByPartition:
		return fmt.Sprint(r.partition)
	default:
		return fmt.Sprint(r.partition, r.key)
	}
}

// trial is an invocation that was tried.
type trial struct {
	*scenario
	*deeds

	world           *world
	began, answered time.Time
	// closing is when no handler may start any more.
	closing    time.Time
	handedBack []string
	// done are the records that were finished when the answer was given.
	done     map[string]bool
	problems []string
}

func (s *scenario) try(t *testing.T) *trial {
	w := newWorld(s.records...)
	w.spec.Order, w.writes = s.order, s.writes
	margin := s.options.Margin
	if margin == 0 {
		margin = msktrigger.DefaultMargin
	}
	tr := &trial{scenario: s, world: w, began: time.Now(), done: map[string]bool{}}
	tr.closing = tr.began.Add(s.timeout - min(margin, s.timeout/5))
	options := s.options
	tr.handedBack = w.invoke(t, s.timeout, &options, s.records...)
	tr.answered = time.Now()
	tr.deeds = w.look()
	for _, r := range s.records {
		tr.done[r.id()] = tr.finished(r.id())
	}
	return tr
}

func (tr *trial) problemf(format string, args ...any) {
	tr.problems = append(tr.problems, fmt.Sprintf(format, args...))
}

// TestLaws: whatever handlers do, each record is finished or handed back, keys keep their order, and the answer is in time.
func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		var problems []string
		synctest.Test(t, func(t *testing.T) {
			tr := s.try(t)
			tr.checkTime()
			tr.checkAnswer()
			tr.checkOrder()
			tr.checkPatience()
			tr.checkWhatIsLeftBehind()
			problems = tr.problems
		})
		if len(problems) > 0 {
			rt.Fatalf("%+v\n%q", s, problems)
		}
	})
}

// checkTime: the answer leaves half of the margin, and nothing starts within it.
func (tr *trial) checkTime() {
	latest := tr.began.Add(tr.timeout).Add(-tr.began.Add(tr.timeout).Sub(tr.closing) / 2)
	if tr.answered.After(latest) {
		tr.problemf("answered after %s of %s", tr.answered.Sub(tr.began), tr.timeout)
	}
	for _, c := range tr.calls {
		if !c.start.Before(tr.closing) {
			tr.problemf("%s started after %s of %s", c.id, c.start.Sub(tr.began), tr.timeout)
		}
	}
}

// checkAnswer: what is not finished is handed back, and nothing else, in order.
func (tr *trial) checkAnswer() {
	var want []string
	for _, r := range tr.records {
		if !tr.done[r.id()] {
			want = append(want, r.id())
		}
		failed := 0
		for _, o := range tr.outcomes[r.id()] {
			if o.verdict == function.Retry {
				failed++
			}
		}
		if failed >= tr.world.spec.Attempts {
			tr.problemf("%s failed %d times and was to be tried again", r.id(), failed)
		}
	}
	if !slices.Equal(tr.handedBack, want) {
		tr.problemf("handed back %v, unfinished are %v", tr.handedBack, want)
	}
}

// checkOrder: in a lane, a handler starts when the record before is finished.
func (tr *trial) checkOrder() {
	before := map[string]*record{}
	for i := range tr.records {
		r := &tr.records[i]
		if b := before[tr.lane(r)]; b != nil {
			calls := tr.callsOf(r.id())
			if len(calls) > 0 && !tr.done[b.id()] {
				tr.problemf("%s was called although %s is not finished", r.id(), b.id())
			}
			for _, c := range tr.callsOf(b.id()) {
				if len(calls) > 0 && calls[0].start.Before(c.end) {
					tr.problemf("%s was called while %s ran", r.id(), b.id())
				}
			}
		}
		before[tr.lane(r)] = r
	}
}

// checkPatience: an answer before the time is over comes at once when nothing is left to do, and gives up what could not be
// done in time, and nothing else.
func (tr *trial) checkPatience() {
	if !tr.answered.Before(tr.closing) {
		return
	}
	last := tr.began
	for _, outcomes := range tr.outcomes {
		last = slices.MaxFunc([]time.Time{last, outcomes[len(outcomes)-1].at}, time.Time.Compare)
	}
	if idle := tr.answered.Sub(last); idle > 0 {
		tr.problemf("the answer waited for %s with nothing to do", idle)
	}
	halted := map[string]bool{}
	for _, r := range tr.records {
		if tr.done[r.id()] || halted[tr.lane(&r)] {
			continue
		}
		halted[tr.lane(&r)] = true
		outcomes := tr.outcomes[r.id()]
		if len(outcomes) == 0 {
			tr.problemf("%s was given up without an attempt", r.id())
			continue
		}
		if last := outcomes[len(outcomes)-1]; last.verdict == function.Retry && last.at.Add(last.after).Before(tr.closing) {
			tr.problemf("%s was given up although it was due after %s", r.id(), last.after)
		}
	}
}

// checkWhatIsLeftBehind: after the answer nothing starts, publishes or is written.
func (tr *trial) checkWhatIsLeftBehind() {
	time.Sleep(time.Hour)
	synctest.Wait()
	later := tr.world.look()
	if len(later.calls) != len(tr.calls) || len(later.sent) != len(tr.sent) || len(later.letters) != len(tr.letters) {
		tr.problemf("after the answer there were calls %v, events %v, dead letters %v", later.calls[len(tr.calls):], later.sent[len(tr.sent):],
			later.letters[len(tr.letters):])
	}
}
