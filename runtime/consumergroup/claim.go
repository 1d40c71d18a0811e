package consumergroup

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/frontier"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/lanes"
)

const (
	// batchSize is how many records are handed to the lanes at once.
	batchSize = 256
	// spanLimit bounds the finished records that are remembered behind an unfinished one.
	spanLimit = 1 << 18
	// markInterval is how often the frontier is looked at.
	markInterval = 100 * time.Millisecond
)

// keySeed makes lane keys: they mean nothing outside of the process.
var keySeed = maphash.MakeSeed()

// claim is a partition while it is this member's. read runs in one goroutine; handle in the workers'.
type claim struct {
	session   *session
	current   sarama.ConsumerGroupSession
	partition sarama.ConsumerGroupClaim
	log       *slog.Logger

	ctx      context.Context
	cancel   context.CancelFunc
	lanes    *lanes.Lanes[*delivery]
	frontier *frontier.Frontier
	order    function.Order
	loose    uint64
	items    []lanes.Item[*delivery]

	// records and bytes are what is unfinished.
	records, bytes atomic.Int64
	paused         atomic.Bool
	// roomy gets a token when a paused partition has room again.
	roomy chan struct{}
}

func newClaim(s *session, current sarama.ConsumerGroupSession, partition sarama.ConsumerGroupClaim) *claim {
	c := &claim{
		session:   s,
		current:   current,
		partition: partition,
		log:       s.log.With("topic", partition.Topic(), "partition", partition.Partition()),
		order:     s.pipeline.Order(partition.Topic()),
		roomy:     make(chan struct{}, 1),
	}
	// Handlers outlive the session by the drain budget, so their context does not hang on the session's.
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(current.Context()))
	c.lanes = lanes.New(s.pool, c.handle, &lanes.Options[*delivery]{Parked: (*delivery).park})
	return c
}

// read hands records to the lanes until the partition is taken away, which closes its messages, or the session ends,
// which closes them only when the fetch under way has been answered.
func (c *claim) read() error {
	tick := time.NewTicker(markInterval)
	defer tick.Stop()
	for {
		select {
		case m, ok := <-c.partition.Messages():
			if !ok {
				return nil
			}
			if err := c.admit(m); err != nil {
				return err
			}
		case <-tick.C:
			c.mark()
		case <-c.roomy:
		case <-c.current.Context().Done():
			return nil
		}
		c.throttle()
	}
}

// admit takes m and whatever else is there, up to a batch, and queues it in the lanes.
func (c *claim) admit(m *sarama.ConsumerMessage) error {
	c.items = c.items[:0]
	defer func() { clear(c.items) }()
	var bytes int64
	for more := true; more; {
		d, err := c.start(m)
		if err != nil {
			return err
		}
		bytes += d.size
		c.items = append(c.items, lanes.Item[*delivery]{Key: c.lane(m.Key), Value: d})
		m, more = c.next()
	}
	c.records.Add(int64(len(c.items)))
	c.bytes.Add(bytes)
	c.lanes.Submit(c.items)
	return nil
}

// next returns the next message of a batch, if there is one at hand.
func (c *claim) next() (*sarama.ConsumerMessage, bool) {
	if len(c.items) == batchSize {
		return nil, false
	}
	select {
	case m, ok := <-c.partition.Messages():
		return m, ok
	default:
		return nil, false
	}
}

// start makes the delivery of m and its place in the frontier.
func (c *claim) start(m *sarama.ConsumerMessage) (*delivery, error) {
	if c.frontier == nil {
		c.frontier = frontier.New(m.Offset)
	}
	mark, err := c.frontier.Start(m.Offset)
	if err != nil {
		return nil, fmt.Errorf("%s/%d: %w: the partition's log was replaced; reading starts again from the committed offset",
			m.Topic, m.Partition, err)
	}
	return newDelivery(m, mark), nil
}

// lane returns the lane of a record. Records without a key share one, as do all where the partition's order is asked for.
func (c *claim) lane(key []byte) uint64 {
	switch {
	case c.order == function.Unordered:
		c.loose++
		return c.loose
	case c.order == function.ByPartition || key == nil:
		return 0
	default:
		return maphash.Bytes(keySeed, key)
	}
}

// handle runs one attempt, in a worker.
func (c *claim) handle(d *delivery) lanes.Result {
	again, finished := c.session.pipeline.Handle(c.ctx, d.open())
	if !finished {
		d.park()
		return lanes.Again(again)
	}
	d.release()
	d.mark.Finish()
	c.bytes.Add(-d.size)
	if left := c.records.Add(-1); c.paused.Load() && left <= int64(c.session.config.WindowRecords/2) {
		select {
		case c.roomy <- struct{}{}:
		default:
		}
	}
	return lanes.Finished()
}

// throttle pauses the partition when the window is full, and resumes it when half of it is free. Records that were
// fetched before a pause still come: the lanes hold them, at most one fetch response.
func (c *claim) throttle() {
	config := &c.session.config
	records, bytes := c.records.Load(), c.bytes.Load()
	if c.paused.Load() {
		if records <= int64(config.WindowRecords/2) && bytes <= config.WindowBytes/2 && c.span() < spanLimit {
			c.resume()
		}
		return
	}
	if records >= int64(config.WindowRecords) || bytes >= config.WindowBytes || c.span() >= spanLimit {
		c.paused.Store(true)
		c.session.group.Pause(c.itself())
	}
}

func (c *claim) resume() {
	c.paused.Store(false)
	c.session.group.Resume(c.itself())
}

// itself names the partition as Pause and Resume want it.
func (c *claim) itself() map[string][]int32 {
	return map[string][]int32{c.partition.Topic(): {c.partition.Partition()}}
}

func (c *claim) span() int {
	if c.frontier == nil {
		return 0
	}
	return c.frontier.Len()
}

// mark moves the offset that will be committed up to the frontier.
func (c *claim) mark() {
	if c.frontier == nil {
		return
	}
	next, moved := c.frontier.Advance()
	if moved {
		c.current.MarkOffset(c.partition.Topic(), c.partition.Partition(), next, "")
	}
	lag := max(c.partition.HighWaterMarkOffset()-next, 0)
	c.session.monitor.Lag(c.session.pipeline.Group(), c.partition.Topic(), c.partition.Partition(), lag)
}

// drain ends the intake, gives running handlers their time, and marks what is finished. A handler that is still running
// then is left behind: its record belongs to the next owner.
func (c *claim) drain() {
	c.lanes.Close()
	c.log.Info("letting the partition go", "unfinished", c.records.Load())
	budget, cancel := context.WithTimeout(context.Background(), c.session.config.DrainTimeout)
	defer cancel()
	err := c.lanes.Wait(budget)
	c.cancel()
	if err != nil {
		c.log.Warn("handlers were still running when their time was over: their records will be handled again",
			"drain_timeout", c.session.config.DrainTimeout)
	}
	c.mark()
	if c.paused.Load() {
		c.resume()
	}
}
