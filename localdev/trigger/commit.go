package trigger

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// commit writes what has become committable, unless a commit is under way: then what gathers meanwhile is the next one.
func (m *mapping) commit(now time.Time) {
	if m.committing || now.Before(m.commitDue) {
		return
	}
	claims, offsets := map[int32]*claim{}, map[int32]int64{}
	for _, c := range m.claims {
		if offset := c.frontier(); offset != c.committed && !c.leaving {
			claims[c.partition], offsets[c.partition] = c, offset
		}
	}
	if len(offsets) == 0 {
		return
	}
	m.committing = true
	m.work.Go(func() {
		taken, err := m.write(offsets)
		m.post(func() { m.committed(claims, taken, err) })
	})
}

func (m *mapping) committed(claims map[int32]*claim, taken map[int32]int64, err error) {
	m.committing = false
	for partition, offset := range taken {
		claims[partition].committed = offset
	}
	m.tellCommitted(taken)
	m.commitFailures, m.commitDue = 0, time.Time{}
	if err != nil {
		m.commitFailures++
		m.commitDue = time.Now().Add(m.options.Backoff.Delay(m.commitFailures))
		m.warn(codeCommit, err)
	}
}

// departure is a set of partitions that are being given away.
type departure struct {
	claims []*claim
	// deadline is when running invocations have had their time.
	deadline time.Time
	// drained gets what is to be committed at last.
	drained chan<- map[int32]int64
}

// revoked is called when the group takes partitions away, and when Run ends. It returns when nothing runs for them any
// more and what is done is committed; the group waits for it.
func (m *mapping) revoked(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	drained := make(chan map[int32]int64, 1)
	m.call(func() { m.leave(partitions[m.spec.Topic], drained) })
	select {
	case offsets := <-drained:
		taken, err := m.write(offsets)
		m.call(func() {
			m.tellCommitted(taken)
			if err != nil {
				m.warn(codeCommit, err)
			}
		})
	case <-m.done:
	}
}

// leave stops taking from partitions, and has depart wait for what runs.
func (m *mapping) leave(partitions []int32, drained chan<- map[int32]int64) {
	d := &departure{deadline: time.Now().Add(m.options.Drain), drained: drained}
	for _, partition := range partitions {
		if c := m.claims[partition]; c != nil {
			m.abandon(c)
			d.claims = append(d.claims, c)
		}
	}
	m.departures = append(m.departures, d)
}

// abandon sees that nothing more starts for c.
func (m *mapping) abandon(c *claim) {
	c.leaving = true
	c.drop()
	if c.paused {
		m.kafka.ResumeFetchPartitions(map[string][]int32{m.spec.Topic: {c.partition}})
	}
	for _, b := range slices.Clone(c.batches) {
		if b.cancel == nil {
			m.settled(b, b)
		}
	}
}

// depart lets the partitions go for which nothing runs any more, or whose time is over: what runs then is cancelled, and
// nothing of it is committed.
func (m *mapping) depart(now time.Time) {
	m.departures = slices.DeleteFunc(m.departures, func(d *departure) bool {
		running := m.runningOf(d.claims)
		late := !now.Before(d.deadline)
		if m.committing || len(running) > 0 && !late {
			return false
		}
		for _, b := range running {
			b.cancel()
		}
		offsets := map[int32]int64{}
		for _, c := range d.claims {
			if offset := c.frontier(); offset != c.committed {
				offsets[c.partition] = offset
			}
			delete(m.claims, c.partition)
		}
		d.drained <- offsets
		return true
	})
}

// runningOf returns the batches of claims that run.
func (m *mapping) runningOf(claims []*claim) []*batch {
	var running []*batch
	for _, c := range claims {
		for _, b := range c.batches {
			if b.cancel != nil && !slices.Contains(running, b) {
				running = append(running, b)
			}
		}
	}
	return running
}

// lost is called when the group has gone on without this member: somebody else owns its partitions already.
func (m *mapping) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	m.call(func() {
		for _, partition := range partitions[m.spec.Topic] {
			if c := m.claims[partition]; c != nil {
				m.abandon(c)
				delete(m.claims, partition)
			}
		}
	})
}
