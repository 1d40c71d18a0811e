package trigger

import (
	"cmp"
	"slices"
	"time"
)

// gather returns the next batch, already in the queues of its partitions, or nil where none is full and no window is over.
// Those partitions come first that have waited longest.
func (m *mapping) gather(now time.Time) *batch {
	claims := m.eligible()
	if len(claims) == 0 || !m.full(claims) && claims[0].since().Add(m.spec.Window).After(now) {
		return nil
	}
	b := &batch{}
	size := m.encoder.empty()
	for _, c := range claims {
		n, more := m.fit(c, m.spec.BatchSize-len(b.records), maxEvent-size)
		if n == 0 && len(b.records) == 0 {
			return m.tooLarge(c)
		}
		if n > 0 {
			size += m.encoder.partitionSize()
			for _, r := range c.waiting[:n] {
				size += len(r.encoded) + 1
			}
			b.records = append(b.records, c.waiting[:n]...)
			c.shift(n, b)
		}
		if !more {
			break
		}
	}
	return b
}

// eligible are the partitions of which a batch may take, those that have waited longest first.
func (m *mapping) eligible() []*claim {
	var claims []*claim
	for _, c := range m.claims {
		if c.eligible(m.busy) {
			claims = append(claims, c)
		}
	}
	slices.SortFunc(claims, func(a, b *claim) int {
		return cmp.Or(a.since().Compare(b.since()), cmp.Compare(a.partition, b.partition))
	})
	return claims
}

// full tells whether what waits in claims fills a batch.
func (m *mapping) full(claims []*claim) bool {
	records, size := 0, m.encoder.empty()
	for _, c := range claims {
		records += len(c.waiting)
		size += c.size + len(c.waiting) + m.encoder.partitionSize()
	}
	return records >= m.spec.BatchSize || size >= maxEvent
}

// fit returns how many of c's first records have room among so many records and bytes, and whether room is left for those
// of other partitions.
func (m *mapping) fit(c *claim, records, size int) (n int, more bool) {
	size -= m.encoder.partitionSize()
	for n < len(c.waiting) {
		if size -= len(c.waiting[n].encoded) + 1; n == records || size < 0 {
			return n, false
		}
		n++
	}
	return n, n < records
}

// shift moves the first n records that wait into b, whose last ones they are.
func (c *claim) shift(n int, b *batch) {
	for _, r := range c.waiting[:n] {
		c.size -= len(r.encoded)
	}
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.batches = append(c.batches, b)
}

// tooLarge gives up c's first record, which fits no event.
func (m *mapping) tooLarge(c *claim) *batch {
	b := (&batch{records: []*record{c.waiting[0]}}).giveUp(conditionSize)
	c.shift(1, b)
	return b
}
