package consumergroup

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/pipeline"
)

// ledger is where commits are written down: the group's coordinator, or a transaction with the events of the batch.
type ledger interface {
	// write returns an error for each snapshot, nil where it is committed. The batch, which only a ledger with
	// transactions is given, is committed when they all are.
	write(ctx context.Context, batch []handled, snapshots []snapshot) []error
}

// handled is a record whose handling has ended, and whose events and offset are to be committed together.
type handled struct {
	claim    *claim
	delivery *delivery
}

// commits writes down what is finished, at intervals and when a claim cannot wait, for every claim of the member. One
// goroutine runs it; claims and workers never wait for the coordinator.
type commits struct {
	ledger   ledger
	interval time.Duration
	// gap is the least time between two writes.
	gap time.Duration
	// limit is the size of a batch.
	limit int
	// report is told of each failure, and of the success after one.
	report func(failures int, err error)
	// urgent gets a token when somebody waits for a write.
	urgent chan struct{}

	mu     sync.Mutex
	claims map[*claim]bool
	batch  []handled
}

// retryCommit is how long the next write waits after one that failed.
var retryCommit = pipeline.Backoff{First: 50 * time.Millisecond, Max: time.Second}

func newCommits(l ledger, interval, gap time.Duration, limit int, report func(int, error)) *commits {
	return &commits{
		ledger: l, interval: interval, gap: gap, limit: limit, report: report, urgent: make(chan struct{}, 1), claims: map[*claim]bool{},
	}
}

func (c *commits) add(claim *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims[claim] = true
}

// remove forgets a claim: nothing is committed for it from now on.
func (c *commits) remove(claim *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.claims, claim)
}

// claimed tells whether there is any claim.
func (c *commits) claimed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.claims) > 0
}

// each calls f with every claim. f must not block.
func (c *commits) each(f func(*claim)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for claim := range c.claims {
		f(claim)
	}
}

// wake asks for a write soon.
func (c *commits) wake() {
	select {
	case c.urgent <- struct{}{}:
	default:
	}
}

// finish takes a record whose handling has ended: it is committed with its events.
func (c *commits) finish(h handled) {
	c.mu.Lock()
	if c.claims[h.claim] {
		c.batch = append(c.batch, h)
	}
	c.mu.Unlock()
	c.wake()
}

// run writes until ctx ends.
func (c *commits) run(ctx context.Context) {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for failures := 0; ; {
		select {
		case <-tick.C:
		case <-c.urgent:
		case <-ctx.Done():
			return
		}
		wait, err := c.gap, c.write(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			c.report(failures, err)
			wait = max(wait, retryCommit.Delay(failures))
			c.wake()
		case failures > 0:
			c.report(failures, nil)
			failures = 0
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// write commits whatever changed. It returns what kept it from that.
func (c *commits) write(ctx context.Context) error {
	batch, snapshots := c.collect()
	if len(snapshots) == 0 {
		return nil
	}
	var failed error
	for i, err := range c.ledger.write(ctx, batch, snapshots) {
		s := &snapshots[i]
		if err == nil {
			s.claim.written(s)
			continue
		}
		failed = fmt.Errorf("commit offset %d of %s/%d: %w", s.next, s.topic, s.partition, err)
		s.claim.refused(s, err)
	}
	c.settle(batch, failed == nil)
	return failed
}

// collect takes the next batch, and a snapshot of each claim that has something new.
func (c *commits) collect() ([]handled, []snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.take()
	concerned, unfinished := claimsOf(batch), claimsOf(c.batch)
	var snapshots []snapshot
	for claim := range c.claims {
		if s, changed := claim.snapshot(unfinished[claim]); changed || concerned[claim] {
			snapshots = append(snapshots, s)
		}
	}
	return batch, snapshots
}

func claimsOf(batch []handled) map[*claim]bool {
	claims := map[*claim]bool{}
	for _, h := range batch {
		claims[h.claim] = true
	}
	return claims
}

// take takes up to limit records from the batch, without those whose partition was lost, and marks them finished: the
// snapshots that go with them say so. The mutex is held.
func (c *commits) take() []handled {
	n := min(len(c.batch), c.limit)
	taken := make([]handled, 0, n)
	for _, h := range c.batch[:n] {
		if c.claims[h.claim] {
			h.delivery.mark.Finish()
			taken = append(taken, h)
		}
	}
	if c.batch = c.batch[n:]; len(c.batch) > 0 {
		c.wake()
	}
	return taken
}

// settle lets go of a batch that was committed, or puts it back in front.
func (c *commits) settle(batch []handled, ok bool) {
	if ok {
		for _, h := range batch {
			h.claim.committed(h.delivery)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batch = append(batch, c.batch...)
}
