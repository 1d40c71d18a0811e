package consumergroup_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/frontier"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// journal is the model: what happened so far, and whether the laws allow it. An era is the time between two resets of the
// group's offsets by an operator, who takes back what was finished.
type journal struct {
	*history

	began time.Time

	mu         sync.Mutex
	lines      []string
	violations []string

	// offsets are those of the records, at those of each partition's offsets.
	offsets map[int]int64
	at      map[int32]map[int64]int
	entries []entry
	calls   []*attempt
	// era is the number of resets so far; floor, where the partitions began in this one.
	era   int
	floor map[int32]int64
	// troubles counts what may end a member's claim without a goodbye.
	troubles int
}

// entry is what is known of a record.
type entry struct {
	// finished holds the lives that finished it in this era; ever, whether somebody did in any.
	finished map[*life]bool
	ever     bool
	verdicts map[function.Verdict]int
	// skipped says that an operator set the offset beyond it.
	skipped bool
	// failures counts its calls that failed, calls all but those that found the dependency down, cut those that were
	// interrupted: in this era.
	failures, calls, cut int
	running              []*attempt
}

// attempt is a call of the handler.
type attempt struct {
	life       *life
	record     int
	ctx        context.Context
	start, end time.Time
	how        string
}

const (
	succeeded   = "succeeded"
	failed      = "failed"
	unavailable = "unavailable"
	interrupted = "interrupted"
)

func newJournal(h *history) *journal {
	j := &journal{history: h, began: time.Now(), offsets: map[int]int64{}, at: map[int32]map[int64]int{}, floor: map[int32]int64{}}
	j.entries = make([]entry, len(h.records))
	for i := range j.entries {
		j.entries[i].finished, j.entries[i].verdicts = map[*life]bool{}, map[function.Verdict]int{}
	}
	for p := range h.settings.Partitions {
		j.at[p] = map[int64]int{}
	}
	return j
}

func (j *journal) age() time.Duration { return time.Since(j.began) }

func (j *journal) notef(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.notedf(format, args...)
}

func (j *journal) notedf(format string, args ...any) {
	j.lines = append(j.lines, fmt.Sprintf("%9.3f ", j.age().Seconds())+fmt.Sprintf(format, args...))
}

func (j *journal) violatef(law, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.violatedf(law, format, args...)
}

func (j *journal) violatedf(law, format string, args ...any) {
	v := law + ": " + fmt.Sprintf(format, args...)
	j.violations = append(j.violations, v)
	j.notedf("!!! %s", v)
}

// verdict returns what was violated, and everything that happened.
func (j *journal) verdict() (violations []string, log string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.violations, strings.Join(j.lines, "\n")
}

func (j *journal) disturbed() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.troubles++
}

// place notes that a record is written to a partition: nobody else writes there.
func (j *journal) place(i int, partition int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	offset := int64(len(j.at[partition]))
	j.offsets[i], j.at[partition][offset] = offset, i
}

// lane names the records that must be handled in order; "" is none.
func (j *journal) lane(i int) string {
	d := &j.records[i]
	switch j.settings.Order {
	case function.Unordered:
		return ""
	case function.ByPartition:
		return fmt.Sprint(d.partition)
	case function.ByKey:
	}
	return fmt.Sprintf("%d/%q", d.partition, d.key)
}

// start notes that a call begins, and judges whether it may.
func (j *journal) start(ctx context.Context, l *life, i int, known *kfake.GroupInfo) *attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := &attempt{life: l, record: i, ctx: ctx, start: time.Now()}
	j.notedf("%s calls record %d (%d@%d)", l, i, j.records[i].partition, j.offsets[i])
	committed := committedIn(known, j.records[i].partition)
	if covers(committed, j.offsets[i]) {
		j.violatedf("law 2 (restart)", "%s calls record %d, which the commit %s says is finished", l, i, told(committed))
	}
	for k := range j.records {
		switch {
		case k != i && (j.lane(k) != j.lane(i) || j.lane(i) == ""):
		case k != i && j.offsets[k] < j.offsets[i] && !j.over(k, l, committed):
			j.violatedf("law 3 (overtaking)", "%s calls record %d, but record %d of its lane is not finished", l, i, k)
		}
		if k == i || j.lane(k) == j.lane(i) && j.lane(i) != "" {
			j.judgeOverlap(a, k)
		}
	}
	e := &j.entries[i]
	e.running = append(e.running, a)
	e.calls++
	j.calls = append(j.calls, a)
	return a
}

// over tells whether the next record may start for l, as far as record k goes.
func (j *journal) over(k int, l *life, committed frontier.State) bool {
	offset, placed := j.offsets[k]
	e := &j.entries[k]
	return !placed || e.finished[l] || e.skipped || offset < j.floor[j.records[k].partition] || covers(committed, offset)
}

func (j *journal) judgeOverlap(a *attempt, k int) {
	for _, other := range j.entries[k].running {
		// What a drained claim left behind cannot be stopped; nor what a member that was cut off runs.
		if other.ctx.Err() == nil && !other.life.troubledSince(other.start.Add(-j.settings.Session)) {
			j.violatedf("law 3 (overlap)", "%s calls record %d while %s runs record %d", a.life, a.record, other.life, k)
		}
	}
}

// troubledSince tells whether the connections were disturbed at or after t.
func (l *life) troubledSince(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.troubled.After(t)
}

// end notes how a call ended.
func (j *journal) end(a *attempt, how string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended(a, how)
}

func (j *journal) ended(a *attempt, how string) {
	if a.how != "" {
		return
	}
	a.end, a.how = time.Now(), how
	j.notedf("%s: record %d %s", a.life, a.record, how)
	e := &j.entries[a.record]
	for k, other := range e.running {
		if other == a {
			e.running = append(e.running[:k], e.running[k+1:]...)
			break
		}
	}
	if how != interrupted && a.ctx.Err() != nil {
		j.troubles++
	}
	switch how {
	case failed:
		e.failures++
	case unavailable:
		e.calls--
	case interrupted:
		e.cut++
		j.troubles++
	}
}

// crash notes that what l runs is interrupted.
func (j *journal) crash(l *life) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.calls {
		if a.life == l {
			j.ended(a, interrupted)
		}
	}
}

// failures returns how many calls of a record failed, in this era.
func (j *journal) failures(i int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[i].failures
}

// finished notes that a life has finished a record, in a call whose claim still has it.
func (j *journal) finished(ctx context.Context, l *life, i int, v function.Verdict) {
	if l.gone() || ctx.Err() != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.notedf("%s: record %d is %v", l, i, v)
	e := &j.entries[i]
	e.finished[l], e.ever = true, true
	e.verdicts[v]++
}

// unpublished notes that the output of a record could not be published: where the brokers are unavailable, that is no
// attempt.
func (j *journal) unpublished(i int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.notedf("record %d was not published: %v", i, err)
	if function.VerdictOf(err) == function.Broken {
		j.entries[i].calls--
	} else {
		j.entries[i].failures++
	}
}

// clean tells whether no claim ended without a goodbye so far.
func (j *journal) clean() bool {
	for _, a := range j.calls {
		if a.how == "" && a.ctx.Err() != nil {
			return false
		}
	}
	return j.troubles == 0
}

// buried notes that a record has a dead letter, and judges whether it may.
func (j *journal) buried(ctx context.Context, l *life, f pipeline.Failure) {
	j.mu.Lock()
	i := j.at[f.Record.Partition][f.Record.Offset]
	e := &j.entries[i]
	if d := &j.records[i]; d.kind != permanent && (e.failures == 0 || e.failures < j.settings.Attempts && j.clean()) {
		j.violatedf("law 4 (letter)", "record %d became a dead letter (%v) after %d failed calls of %d that are allowed, %d interrupted",
			i, f.Err, e.failures, j.settings.Attempts, e.cut)
	}
	j.mu.Unlock()
	j.finished(ctx, l, i, function.DeadLetter)
}

// commit judges an offset commit that has reached the broker.
func (j *journal) commit(r kmsg.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch r := r.(type) {
	case *kmsg.OffsetCommitRequest:
		if r.Generation < 0 {
			return
		}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				j.judgeCommit(p.Partition, p.Offset, p.Metadata)
			}
		}
	case *kmsg.TxnOffsetCommitRequest:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				j.judgeCommit(p.Partition, p.Offset, p.Metadata)
			}
		}
	}
}

func (j *journal) judgeCommit(partition int32, offset int64, metadata *string) {
	if metadata == nil {
		j.violatedf("law 2 (metadata)", "a commit of partition %d without metadata", partition)
		return
	}
	state, err := frontier.Parse(*metadata)
	if err != nil || state.Next != offset {
		j.violatedf("law 2 (metadata)", "a commit of partition %d at %d has the metadata %+v: %v", partition, offset, state, err)
		return
	}
	j.notedf("commit of partition %d: %s", partition, told(state))
	for at, i := range j.at[partition] {
		if e := &j.entries[i]; covers(state, at) && !e.ever && !e.skipped {
			j.violatedf("law 1 (early)", "a commit of partition %d says that offset %d (record %d) is finished: %s", partition, at, i, told(state))
		}
	}
}

// told returns what a commit tells, as text.
func told(s frontier.State) string {
	return fmt.Sprintf("next %d open %t reserved %d suspects %v finished %v failing %v", s.Next, s.Open, s.Reserved, s.Suspects, s.Finished, s.Failing)
}

// covers tells whether a commit says that an offset is finished.
func covers(s frontier.State, offset int64) bool {
	if offset < s.Next {
		return true
	}
	for _, r := range s.Finished {
		if r.From <= offset && offset <= r.To {
			return true
		}
	}
	return false
}

// committedIn returns what the group has committed.
func committedIn(known *kfake.GroupInfo, partition int32) frontier.State {
	if known == nil {
		return frontier.State{}
	}
	c, ok := known.Commits[inTopic][partition]
	if !ok {
		return frontier.State{}
	}
	state, err := frontier.Parse(c.Metadata)
	if err != nil {
		return frontier.State{Next: c.Offset}
	}
	return state
}

// share returns the given part of each partition's records, as an offset.
func (j *journal) share(percent int) map[int32]int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	to := map[int32]int64{}
	for p, records := range j.at {
		to[p] = int64(len(records) * percent / 100)
	}
	return to
}

// reset ends an era: the calls of each record are judged.
func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.entries {
		e := &j.entries[i]
		if e.calls > max(j.settings.Attempts, e.cut+j.troubles+1) {
			j.violatedf("law 4 (attempts)", "record %d was called %d times, %d are allowed; %d were interrupted", i, e.calls, j.settings.Attempts, e.cut)
		}
	}
}

// begin begins an era: an operator replaced the commits before by to.
func (j *journal) begin(before *kfake.GroupInfo, to map[int32]int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.era++
	j.floor = map[int32]int64{}
	maps.Copy(j.floor, to)
	for i := range j.entries {
		e := &j.entries[i]
		offset, placed := j.offsets[i]
		partition := j.records[i].partition
		if placed && offset < j.floor[partition] && !covers(committedIn(before, partition), offset) {
			e.skipped = true
		}
		e.finished = map[*life]bool{}
		e.failures, e.calls, e.cut = 0, 0, 0
	}
}

// missing returns which partition is not committed to its end.
func (j *journal) missing(known *kfake.GroupInfo) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for p, records := range j.at {
		if len(records) == 0 {
			continue
		}
		if c := committedIn(known, p); c.Next < int64(len(records)) {
			return fmt.Sprintf("partition %d is committed to %s of %d", p, told(c), len(records))
		}
	}
	return ""
}

// finish judges what the topics hold in the end: how many outputs and dead letters of each record.
func (j *journal) finish(outputs, letters map[int]int) {
	j.reset()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.entries {
		e := &j.entries[i]
		if e.skipped {
			continue
		}
		n, dropped := outputs[i]+letters[i], e.verdicts[function.Dropped]
		if n == 0 && dropped == 0 {
			j.violatedf("law 1 (lost)", "record %d has neither output nor dead letter", i)
		}
		if e.verdicts[function.Done] > 0 && e.verdicts[function.DeadLetter] == 0 && outputs[i] == 0 {
			j.violatedf("law 1 (lost)", "record %d has no output", i)
		}
		if j.settings.ExactlyOnce && n > 1+j.era {
			j.violatedf("law 10", "record %d has %d outputs and %d dead letters", i, outputs[i], letters[i])
		}
	}
}
