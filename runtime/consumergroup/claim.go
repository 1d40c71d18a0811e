package consumergroup

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
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
	// waitingLimit bounds the records that wait for their reservation.
	waitingLimit = 4096
	// reportInterval is how often the frontier is looked at.
	reportInterval = 100 * time.Millisecond
	// roomyEighths is how much of the window may be in use when a paused partition is resumed. The client takes up to 100 ms
	// to go on where all partitions of a broker are paused: what is left must last as long.
	roomyEighths = 7
	// goodbyeTimeout is how long the last commit of a claim may take.
	goodbyeTimeout = 5 * time.Second
)

// keySeed makes lane keys: they mean nothing outside of the process.
var keySeed = maphash.MakeSeed()

// claim is a partition while it is this member's. read runs in one goroutine, handle in the workers', and snapshots are
// taken by the one that commits.
type claim struct {
	session   *session
	current   sarama.ConsumerGroupSession
	partition sarama.ConsumerGroupClaim
	log       *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	lanes  *lanes.Lanes[*delivery]
	order  function.Order
	loose  uint64
	items  []lanes.Item[*delivery]
	// waiting are records that must not start before it is committed that they may.
	waiting []*sarama.ConsumerMessage

	// detour is what the partition is read by where the client stands still.
	detour *detour
	// position is the offset after the newest record that was received.
	position int64

	// records and bytes are what is unfinished.
	records, bytes atomic.Int64
	// blocked counts the records that wait for an open circuit.
	blocked atomic.Int64
	paused  atomic.Bool
	// roomy gets a token when a paused partition has room again, granted when a reservation was committed.
	roomy, granted chan struct{}
	// failures counts failed attempts, recorded those of which a commit tells.
	failures, recorded atomic.Uint64
	// failing counts the records that wait for another attempt.
	failing atomic.Int64

	mu       sync.Mutex
	frontier *frontier.Frontier
	progress progress
	// doubted is until when a commit that was not answered may undo later ones.
	doubted time.Time
	// goodbye is closed when the last commit is through, or will never be.
	goodbye chan struct{}
}

func newClaim(s *session, current sarama.ConsumerGroupSession, partition sarama.ConsumerGroupClaim) *claim {
	c := &claim{
		session:   s,
		current:   current,
		partition: partition,
		log:       s.log.With("topic", partition.Topic(), "partition", partition.Partition()),
		order:     s.pipeline.Order(partition.Topic()),
		roomy:     make(chan struct{}, 1),
		granted:   make(chan struct{}, 1),
		goodbye:   make(chan struct{}),
		detour:    newDetour(),
	}
	// Handlers outlive the session by the drain budget, so their context does not hang on the session's.
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(current.Context()))
	c.lanes = lanes.New(s.pool, c.handle, &lanes.Options[*delivery]{Parked: (*delivery).park})
	return c
}

// read hands records to the lanes until the partition is taken away, which closes its messages, or the session ends,
// which closes them only when the fetch under way has been answered.
func (c *claim) read() error {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		var err error
		select {
		case m, ok := <-c.partition.Messages():
			if !ok {
				return nil
			}
			err = c.receive(m)
		case f := <-c.detour.fetched(c.paused.Load()):
			err = c.admitFetched(f)
		case <-c.detour.doubted:
			c.look()
		case <-c.detour.found:
			c.takeDetour()
		case <-c.granted:
			err = c.admitWaiting()
		case <-tick.C:
			c.report()
			c.watch()
		case <-c.roomy:
		case <-c.current.Context().Done():
			return nil
		}
		if err != nil {
			return err
		}
		c.throttle()
	}
}

// admit takes m and whatever else is there, up to a batch, and queues it in the lanes.
func (c *claim) admit(m *sarama.ConsumerMessage) error {
	c.mu.Lock()
	taken := 0
	for more := true; more; taken++ {
		if err := c.start(m); err != nil {
			c.mu.Unlock()
			return err
		}
		m, more = c.next(taken)
	}
	c.submit()
	return nil
}

// admitWaiting queues the records that waited for their reservation.
func (c *claim) admitWaiting() error {
	waiting := c.waiting
	c.waiting = nil
	return c.admitAll(waiting)
}

func (c *claim) admitAll(messages []*sarama.ConsumerMessage) error {
	c.mu.Lock()
	for _, m := range messages {
		if err := c.start(m); err != nil {
			c.mu.Unlock()
			return err
		}
	}
	c.submit()
	return nil
}

// receive takes what the client read. On a detour that is nothing any more.
func (c *claim) receive(m *sarama.ConsumerMessage) error {
	if c.detour.taken {
		return nil
	}
	return c.admit(m)
}

// next returns the next message of a batch of which some are taken, if there is one at hand.
func (c *claim) next(taken int) (*sarama.ConsumerMessage, bool) {
	if taken == batchSize {
		return nil, false
	}
	select {
	case m, ok := <-c.partition.Messages():
		return m, ok
	default:
		return nil, false
	}
}

// start gives m its place in the frontier and in the next batch for the lanes; or has it wait, where the reservation does
// not reach so far. The mutex is held.
func (c *claim) start(m *sarama.ConsumerMessage) error {
	c.position = m.Offset + 1
	if c.frontier == nil {
		c.frontier = frontier.New(m.Offset)
	}
	if len(c.waiting) > 0 || !c.progress.allows(m.Offset) {
		c.progress.want(m.Offset)
		c.waiting = append(c.waiting, m)
		return nil
	}
	mark, err := c.frontier.Start(m.Offset)
	if err != nil {
		return fmt.Errorf("%s/%d: %w: the partition's log was replaced; reading starts again from the committed offset",
			m.Topic, m.Partition, err)
	}
	if mark.Finished() {
		return nil
	}
	d := newDelivery(m, mark)
	if lost, ok := c.detour.lost[m.Offset]; ok {
		delete(c.detour.lost, m.Offset)
		d.lost = lost
	}
	c.enqueue(d, c.lane(m.Key))
	return nil
}

// enqueue puts d into the next batch for the lanes.
func (c *claim) enqueue(d *delivery, lane uint64) {
	if d.failed() {
		c.failing.Add(1)
	}
	c.records.Add(1)
	c.bytes.Add(d.size)
	c.items = append(c.items, lanes.Item[*delivery]{Key: lane, Value: d})
}

// submit hands the batch to the lanes, and asks for a commit where the reservation runs short. It releases the mutex.
func (c *claim) submit() {
	short := c.progress.short()
	c.mu.Unlock()
	if short {
		c.session.commits.wake()
	}
	c.lanes.Submit(c.items)
	clear(c.items)
	c.items = c.items[:0]
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

// throttle pauses the partition when the window is full, a circuit is open or too many records fail, and resumes it when
// the window has room again and neither is. Records that were fetched before a pause still come: the lanes hold them, at
// most one fetch response.
func (c *claim) throttle() {
	switch paused := c.paused.Load(); {
	case paused && c.crowding(roomyEighths):
	case paused:
		c.resume()
	case c.crowding(8):
		c.pause()
	}
}

func (c *claim) pause() {
	c.paused.Store(true)
	c.session.group.Pause(c.itself())
}

// crowding tells whether the partition has enough records in flight, of so many eighths of the window.
func (c *claim) crowding(eighths int64) bool {
	config := &c.session.config
	return c.records.Load()+int64(len(c.waiting)) >= share(int64(config.WindowRecords), eighths) ||
		c.bytes.Load() >= share(config.WindowBytes, eighths) ||
		int64(c.span()) >= share(spanLimit, eighths) || len(c.waiting) >= waitingLimit ||
		c.blocked.Load() > 0 || c.failing.Load() >= failingLimit
}

// share is so many eighths of limit, at least 1.
func share(limit, eighths int64) int64 { return max(limit/8*eighths+limit%8*eighths/8, 1) }

// resume goes on reading. On a detour the client stays paused.
func (c *claim) resume() {
	c.paused.Store(false)
	if !c.detour.taken {
		c.session.group.Resume(c.itself())
	}
}

// itself names the partition as Pause and Resume want it.
func (c *claim) itself() map[string][]int32 {
	return map[string][]int32{c.partition.Topic(): {c.partition.Partition()}}
}

// span is how many records lie between the frontier and the newest.
func (c *claim) span() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frontier == nil {
		return 0
	}
	return c.frontier.Len()
}

// report moves the frontier and tells how far it lies behind the partition's end.
func (c *claim) report() {
	c.mu.Lock()
	f := c.frontier
	if f == nil {
		c.mu.Unlock()
		return
	}
	next, _ := f.Advance()
	c.mu.Unlock()
	lag := max(c.partition.HighWaterMarkOffset()-next, 0)
	c.session.monitor.Lag(c.session.pipeline.Group(), c.partition.Topic(), c.partition.Partition(), lag)
}

// drain ends the intake, gives running handlers their time, and commits what is finished. A handler that is still running
// then is left behind: its record belongs to the next owner, who learns that it may have been called once more.
func (c *claim) drain() {
	c.detour.end()
	if !c.detour.named.IsZero() {
		c.name(nil)
	}
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
	c.leave(err == nil)
	// Pauses outlast a session.
	c.session.group.Resume(c.itself())
}

// leave has the last commit made.
func (c *claim) leave(clean bool) {
	defer c.session.commits.remove(c)
	c.mu.Lock()
	c.progress.leave(clean)
	nothing := c.frontier == nil
	c.mu.Unlock()
	if nothing {
		return
	}
	c.session.commits.wake()
	select {
	case <-c.goodbye:
	case <-time.After(goodbyeTimeout):
		c.log.Warn("the last commit of the partition was not acknowledged: records that it tells of may be handled again",
			"timeout", goodbyeTimeout)
	}
}
