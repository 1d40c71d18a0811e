package trigger

import (
	"slices"
	"time"
)

// record is a record on its way to the function.
type record struct {
	claim     *claim
	offset    int64
	timestamp time.Time
	key       []byte
	// encoded is the record as it stands in an event.
	encoded []byte
	// arrived is when it was received.
	arrived time.Time
}

// batch is what one invocation gets, or what goes to the destination together. Its records are unresolved; those of a
// partition stand behind one another, in their order.
type batch struct {
	records []*record
	// calls is how often its records were sent to the function, attempts how many of these calls count as failed, and
	// failures how many tries in a row, of whatever kind, have failed.
	calls, attempts, failures int
	// due is when it may be tried again.
	due time.Time
	// condition is why the records are given up; empty as long as they are not.
	condition string
	// last is what became of the last call.
	last outcome
	// cancel ends the invocation or delivery that runs; nil when none does.
	cancel func()
}

// outcome is what became of a call of the function.
type outcome struct {
	requestID string
	duration  time.Duration
	// failed are the records that are to be tried again.
	failed []*record
	// whole tells that all of them failed, not because the function named them.
	whole bool
	// counted tells that the function saw the event: the attempt counts.
	counted bool
	// function is Lambda's word for what the function did wrong: "Unhandled", or empty.
	function string
	// code is the errorCode of the log, err the reason.
	code string
	err  error
}

// with returns a batch of some of b's records, with b's past.
func (b *batch) with(records []*record) *batch {
	c := *b
	c.records, c.cancel = records, nil
	return &c
}

// claims are the partitions of the batch, in the order of its records.
func (b *batch) claims() []*claim {
	var claims []*claim
	for _, r := range b.records {
		if n := len(claims); n == 0 || claims[n-1] != r.claim {
			claims = append(claims, r.claim)
		}
	}
	return claims
}

func (b *batch) of(c *claim) bool {
	return slices.ContainsFunc(b.records, func(r *record) bool { return r.claim == c })
}

// replace puts others in the place of b, each into the queues of its own partitions. Together they hold those records of b
// that are still unresolved.
func (b *batch) replace(others ...*batch) {
	for _, c := range b.claims() {
		mine := slices.DeleteFunc(slices.Clone(others), func(o *batch) bool { return !o.of(c) })
		i := slices.Index(c.batches, b)
		c.batches = slices.Replace(c.batches, i, i+1, mine...)
	}
}

// divide returns b as two batches: of the records that match, and of the others. Either is nil where there are none.
func (b *batch) divide(match func(*record) bool) (matching, others *batch) {
	var yes, no []*record
	for _, r := range b.records {
		if match(r) {
			yes = append(yes, r)
		} else {
			no = append(no, r)
		}
	}
	if len(yes) > 0 {
		matching = b.with(yes)
	}
	if len(no) > 0 {
		others = b.with(no)
	}
	return matching, others
}

// halve returns b as two batches of about the same size.
func (b *batch) halve() (first, second *batch) {
	middle := (len(b.records) + 1) / 2
	return b.with(b.records[:middle:middle]), b.with(b.records[middle:])
}

// giveUp makes of b what goes to the destination.
func (b *batch) giveUp(condition string) *batch {
	b.condition, b.failures, b.due = condition, 0, time.Time{}
	return b
}

// ready tells whether b may start: it is the next of all its partitions, and none of these is being given away.
func (b *batch) ready(now time.Time, busy map[int32]int) bool {
	if b.cancel != nil || b.due.After(now) {
		return false
	}
	for _, c := range b.claims() {
		if c.leaving || c.batches[0] != b || busy[c.partition] > 0 {
			return false
		}
	}
	return true
}
