package trigger

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/trigger/filter"
	"github.com/millrace/millrace/localdev/trigger/template"
)

// mapping is one run of an event source mapping. All that is decided is decided by one goroutine, loop; the others (the
// poller, the group's callbacks, invocations, deliveries, commits) hand it functions to run.
type mapping struct {
	spec     template.Mapping
	options  Options
	function Invoker
	filter   *filter.Filter
	encoder  *encoder
	kafka    *cluster.Client
	outlet   outlet
	// start is the position of partitions without a commit.
	start kgo.Offset

	inbox chan func()
	// done is closed when loop has ended.
	done chan struct{}
	// work counts the goroutines, working is their context: it ends when the drain is over.
	work    sync.WaitGroup
	working context.Context

	// What follows belongs to loop.

	claims map[int32]*claim
	// busy counts the running invocations and deliveries of each partition. One may go on when its claim is gone: the
	// partition's next claim waits for it.
	busy        map[int32]int
	invocations int
	departures  []*departure
	// committing tells that a commit is under way; after one that failed, the next is due at commitDue.
	committing     bool
	commitFailures int
	commitDue      time.Time
	statusDue      time.Time
	started        bool
	closed         bool
}

// never is later than anything that is waited for.
const never = time.Hour

// post has the loop run f, unless it has ended.
func (m *mapping) post(f func()) {
	select {
	case m.inbox <- f:
	case <-m.done:
	}
}

// call has the loop run f and waits for that.
func (m *mapping) call(f func()) {
	ran := make(chan struct{})
	m.post(func() { f(); close(ran) })
	select {
	case <-ran:
	case <-m.done:
	}
}

// loop runs until the client is closed, which it has done when ctx ends.
func (m *mapping) loop(ctx context.Context, leave func()) {
	defer close(m.done)
	stop := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !m.closed {
		select {
		case f := <-m.inbox:
			f()
		case <-timer.C:
		case <-stop:
			stop = nil
			leave()
		}
		now := time.Now()
		for m.step(now) {
			now = time.Now()
		}
		m.flow()
		m.commit(now)
		m.depart(now)
		m.status(now)
		timer.Reset(m.rest(now))
	}
}

// step starts one batch that may start, if there is one.
func (m *mapping) step(now time.Time) bool {
	for _, c := range m.owned() {
		if len(c.batches) > 0 && c.batches[0].ready(now, m.busy) && (c.batches[0].condition != "" || m.hasRoom()) {
			m.begin(c.batches[0], now)
			return true
		}
	}
	if !m.hasRoom() {
		return false
	}
	return m.gather(now) != nil
}

// owned are the claims, in the order of their partitions.
func (m *mapping) owned() []*claim {
	return slices.SortedFunc(maps.Values(m.claims), func(a, b *claim) int { return cmp.Compare(a.partition, b.partition) })
}

func (m *mapping) hasRoom() bool {
	return m.options.Concurrency == 0 || m.invocations < m.options.Concurrency
}

// begin invokes the function with b, or delivers b to the destination. What has become too old in b is given up first.
func (m *mapping) begin(b *batch, now time.Time) {
	if b.condition == "" && m.spec.MaxAge > 0 {
		old, young := b.divide(func(r *record) bool { return now.Sub(r.timestamp) > m.spec.MaxAge })
		if old != nil {
			b.replace(compact(old.giveUp(conditionAge), young)...)
			return
		}
	}
	for _, c := range b.claims() {
		m.busy[c.partition]++
	}
	ctx, cancel := context.WithCancel(m.working)
	b.cancel = cancel
	if b.condition != "" {
		m.work.Go(func() { m.deliver(ctx, b) })
		return
	}
	b.calls++
	m.invocations++
	m.observe(b, Event{Kind: Sent})
	m.work.Go(func() { m.invoke(ctx, b) })
}

func compact(batches ...*batch) []*batch {
	return slices.DeleteFunc(batches, func(b *batch) bool { return b == nil })
}

// end is the counterpart of begin.
func (m *mapping) end(b *batch) {
	b.cancel()
	b.cancel = nil
	for _, c := range b.claims() {
		if m.busy[c.partition]--; m.busy[c.partition] == 0 {
			delete(m.busy, c.partition)
		}
		c.free = time.Now()
	}
}

// settled replaces b by what is left of it, nil for nothing. What belongs to partitions that are being given away is kept
// apart from the rest: it is not tried again.
func (m *mapping) settled(b *batch, left ...*batch) {
	var apart []*batch
	for _, l := range left {
		leaving, staying := l.divide(func(r *record) bool { return r.claim.leaving })
		apart = append(apart, compact(leaving, staying)...)
	}
	b.replace(apart...)
}

// flow fetches from the partitions of which too little waits, and not from those of which enough does.
func (m *mapping) flow() {
	for _, c := range m.claims {
		partition := map[string][]int32{m.spec.Topic: {c.partition}}
		switch {
		case !c.paused && c.full(m.spec.BatchSize):
			c.paused = true
			m.kafka.PauseFetchPartitions(partition)
		case c.paused && c.low(m.spec.BatchSize):
			c.paused = false
			m.kafka.ResumeFetchPartitions(partition)
		}
	}
}

// rest returns how long nothing is to do, unless something happens.
func (m *mapping) rest(now time.Time) time.Duration {
	wake := now.Add(never)
	consider := func(t time.Time) {
		if t.After(now) && t.Before(wake) {
			wake = t
		}
	}
	for _, c := range m.claims {
		if len(c.batches) > 0 {
			consider(c.batches[0].due)
		} else if c.eligible(m.busy) && m.hasRoom() {
			consider(c.since().Add(m.spec.Window))
		}
	}
	for _, d := range m.departures {
		consider(d.deadline)
	}
	consider(m.commitDue)
	consider(m.statusDue)
	return wake.Sub(now)
}
