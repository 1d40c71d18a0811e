package consumergroup

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/frontier"
)

const (
	// takeoverTimeout bounds how long a claim asks where the former owner ended.
	takeoverTimeout = time.Minute
	// logCheckInterval is how often a claim looks whether the log has reached the committed offset again.
	logCheckInterval = 5 * time.Second
)

// takeover goes on where the former owner of the partition ended. It returns false when the partition is taken away
// before that is known.
func (c *claim) takeover() (bool, error) {
	p, err := c.lookUp()
	if err != nil {
		return false, err
	}
	first := c.partition.InitialOffset()
	c.position = first
	switch {
	case p.next < 0:
		err := c.begin(first)
		return err == nil, err
	case first >= 0 && first != p.next:
		// Somebody committed in between, an operator as it seems: sarama's answer is what is read from.
		c.resumeAt(first)
		return true, nil
	case first < 0:
		return c.outOfRange(p.next)
	}
	_, newest, err := c.logRange()
	if err != nil {
		return false, err
	}
	c.restore(p, newest)
	return true, nil
}

// begin finds out where a group without commits begins to read.
func (c *claim) begin(first int64) error {
	oldest, newest, err := c.logRange()
	c.position = oldest
	if first == sarama.OffsetNewest {
		c.position = newest
	}
	return err
}

// lookUp asks for the committed position until there is an answer.
func (c *claim) lookUp() (position, error) {
	ctx, cancel := context.WithTimeout(c.current.Context(), takeoverTimeout)
	defer cancel()
	for failures := 1; ; failures++ {
		p, err := c.session.coordinator.committed(c.partition.Topic(), c.partition.Partition())
		if err == nil {
			return p, nil
		}
		select {
		case <-time.After(retryCommit.Delay(failures)):
		case <-ctx.Done():
			return p, fmt.Errorf("%s/%d: read the committed offset: %w", c.partition.Topic(), c.partition.Partition(), err)
		}
	}
}

// restore takes over what the commit tells. What it cannot tell is run again. What the former owner may have started ended
// with the log, whose end is newest.
func (c *claim) restore(p position, newest int64) {
	state, err := frontier.Parse(p.metadata)
	if err != nil && p.metadata != "" {
		c.log.Warn("the metadata of the commit is not millrace's: records beyond the offset are handled again, where they were finished",
			"offset", p.next, "error", err)
	}
	if err != nil || state.Next != p.next {
		c.resumeAt(p.next)
		return
	}
	if state.Open {
		state.Reserved = min(state.Reserved, newest)
		c.log.Info("the partition's former owner ended without a goodbye", "offset", p.next, "started_below", state.Reserved)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.take(state)
	state.Suspects = c.progress.suspects
	c.frontier = frontier.Restore(state)
}

func (c *claim) resumeAt(next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.take(frontier.State{Next: next})
	c.frontier = frontier.New(next)
}

// outOfRange decides what to do where the log does not hold the committed offset. Where retention has deleted it, what is
// left is read, and the loss is reported. Where the log ends before it, the topic was created again or has lost its end:
// nobody knows then what was handled, so the partition waits for an operator.
func (c *claim) outOfRange(committed int64) (bool, error) {
	oldest, newest, err := c.logRange()
	if err != nil {
		return false, err
	}
	c.position = oldest
	if committed <= newest {
		c.log.Error("records were deleted before they were handled: the topic's retention is too short for the lag",
			"committed_offset", committed, "oldest_offset", oldest, "lost", max(oldest-committed, 0))
		return true, nil
	}
	return false, c.awaitLog(committed, newest)
}

// awaitLog holds the partition until its log reaches the committed offset or the partition is taken away.
func (c *claim) awaitLog(committed, newest int64) error {
	err := fmt.Errorf("the committed offset is %d but the log ends at %d: the topic was created again or has lost records; "+
		"stop the group and reset its offset", committed, newest)
	c.log.Error("the partition is not read", "error", err)
	c.session.monitor.Stuck(c.session.pipeline.Group(), c.partition.Topic(), c.partition.Partition(), err)
	defer c.session.monitor.Stuck(c.session.pipeline.Group(), c.partition.Topic(), c.partition.Partition(), nil)
	tick := time.NewTicker(logCheckInterval)
	defer tick.Stop()
	for {
		select {
		case _, ok := <-c.partition.Messages():
			if !ok {
				return nil
			}
		case <-tick.C:
			if _, newest, err := c.logRange(); err == nil && newest >= committed {
				return fmt.Errorf("%s/%d: the log reaches the committed offset %d again", c.partition.Topic(), c.partition.Partition(), committed)
			}
		case <-c.current.Context().Done():
			return nil
		}
	}
}

// logRange returns the partition's first offset and the one after its last.
func (c *claim) logRange() (oldest, newest int64, err error) {
	topic, partition := c.partition.Topic(), c.partition.Partition()
	client := c.session.coordinator.client
	if oldest, err = client.GetOffset(topic, partition, sarama.OffsetOldest); err == nil {
		newest, err = client.GetOffset(topic, partition, sarama.OffsetNewest)
	}
	if err != nil {
		err = fmt.Errorf("%s/%d: read the range of offsets: %w", topic, partition, err)
	}
	return oldest, newest, err
}
