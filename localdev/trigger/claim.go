package trigger

import "time"

// When fetching from a partition pauses: at so many records, or twice those of a batch where these are more, or at so many
// bytes. It goes on at half of that, before nothing is left, for a pause takes up to [fetchWait] to end.
const (
	leastWaiting = 10_000
	mostBytes    = 2 * maxEvent
)

// claim is a partition from its assignment to its revocation.
type claim struct {
	partition int32
	// waiting are records that are in no batch yet, size the length of all of them in an event.
	waiting []*record
	size    int
	// next is the offset after the last one that was received; what lies below it and is neither waiting nor in a batch
	// is resolved.
	next int64
	// batches hold the unresolved records that were sent at least once or are about to, in the order in which they go.
	batches []*batch
	// free is when the last batch was resolved.
	free time.Time
	// committed is the offset that the group has committed, -1 for none.
	committed int64
	// paused tells that nothing is fetched, leaving that the partition is being given away or is lost.
	paused, leaving bool
}

// frontier is the offset that may be committed: no record below it is unresolved.
func (c *claim) frontier() int64 {
	lowest := c.next
	if len(c.waiting) > 0 {
		lowest = c.waiting[0].offset
	}
	for _, b := range c.batches {
		for _, r := range b.records {
			if r.claim == c {
				lowest = min(lowest, r.offset)
			}
		}
	}
	return lowest
}

// take appends what was received, records or offsets only.
func (c *claim) take(a arrival) {
	if a.reset {
		// From here on the log's offsets stand for other records.
		c.waiting, c.size = nil, 0
		c.next = a.offset
		return
	}
	if a.offset < c.next {
		return
	}
	c.next = a.offset + 1
	if a.record != nil {
		a.record.claim = c
		c.waiting = append(c.waiting, a.record)
		c.size += len(a.record.encoded)
	}
}

// drop forgets the records that are in no batch: they will be received again, by whoever owns the partition then.
func (c *claim) drop() {
	if len(c.waiting) > 0 {
		c.next = c.waiting[0].offset
	}
	c.waiting, c.size = nil, 0
}

// eligible tells whether a new batch may take records of the partition.
func (c *claim) eligible(busy map[int32]int) bool {
	return !c.leaving && len(c.batches) == 0 && len(c.waiting) > 0 && busy[c.partition] == 0
}

// since is when the window of the partition's next batch began: with its first record, or when the batch before was
// resolved.
func (c *claim) since() time.Time {
	if first := c.waiting[0].arrived; first.After(c.free) {
		return first
	}
	return c.free
}

// full tells whether enough waits, low whether more should be fetched.
func (c *claim) full(batchSize int) bool {
	return len(c.waiting) >= max(2*batchSize, leastWaiting) || c.size >= mostBytes
}

func (c *claim) low(batchSize int) bool {
	return len(c.waiting) <= max(batchSize, leastWaiting/2) && c.size <= mostBytes/2
}
