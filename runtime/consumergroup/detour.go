package consumergroup

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

const (
	// standstill is how long nothing comes before a claim looks whether there is something.
	standstill = 3 * time.Second
	// obstacleTimeout bounds the look for what keeps the client from getting on.
	obstacleTimeout = 30 * time.Second
	// notice is how long readiness names a batch that was lost.
	notice = time.Minute
)

// detour is the way around a batch that the client cannot get past, such as one that decompresses to gigabytes: while it
// tries, no partition of that broker gets on. So the client stops reading the partition, and a [kafkaclient.BatchReader]
// does, for as long as the partition is this member's.
type detour struct {
	taken bool
	// arrived is where what the reader read comes from.
	arrived chan kafkaclient.Fetched
	// doubted gets a token when the client could not read what a broker answered, found when a detour is needed.
	doubted, found chan struct{}
	// looking holds a token while a look for an obstacle is under way.
	looking chan struct{}
	// clear is the offset up to which there is none.
	clear atomic.Int64

	// received is when something came last, up to the offset seen.
	received time.Time
	seen     int64
	// lost are batches whose place in the frontier is that of their last offset.
	lost map[int64]*kafkaclient.LostError
	// named is until when readiness tells of the last one.
	named time.Time

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func newDetour() *detour {
	d := &detour{
		arrived: make(chan kafkaclient.Fetched), doubted: make(chan struct{}, 1), found: make(chan struct{}, 1),
		looking: make(chan struct{}, 1), received: time.Now(), lost: map[int64]*kafkaclient.LostError{},
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// fetched is the channel to read from.
func (d *detour) fetched(paused bool) <-chan kafkaclient.Fetched {
	if paused || !d.taken {
		return nil
	}
	return d.arrived
}

// end stops the reader and waits for it.
func (d *detour) end() {
	d.cancel()
	d.done.Wait()
}

// doubt has the claim look for an obstacle: the client could not read what a broker answered, and did not say of which
// partition.
func (c *claim) doubt() { signal(c.detour.doubted) }

// watch looks for an obstacle when nothing has come for a while although there is something.
func (c *claim) watch() {
	d := c.detour
	if !d.named.IsZero() && time.Now().After(d.named) {
		c.name(nil)
	}
	if d.taken || c.paused.Load() || d.seen != c.position || c.partition.HighWaterMarkOffset() <= max(c.position, d.clear.Load()) {
		d.seen, d.received = c.position, time.Now()
		return
	}
	if time.Since(d.received) > standstill {
		d.received = time.Now()
		c.look()
	}
}

// look finds out, in a goroutine, whether the client stands still before a batch.
func (c *claim) look() {
	select {
	case c.detour.looking <- struct{}{}:
	default:
		return
	}
	from := c.position
	c.detour.done.Go(func() {
		defer func() { <-c.detour.looking }()
		ctx, cancel := context.WithTimeout(c.detour.ctx, obstacleTimeout)
		defer cancel()
		found, next, err := c.session.client.FindObstacle(ctx, c.session.coordinator.client,
			c.partition.Topic(), c.partition.Partition(), from)
		switch {
		case found:
			signal(c.detour.found)
		case err == nil:
			c.detour.clear.Store(next)
		case ctx.Err() == nil:
			c.log.Warn("nothing comes from the partition, and it is not known why", "offset", from, "error", err)
		}
	})
}

// takeDetour leaves the partition to a reader, which begins where the client stands.
func (c *claim) takeDetour() {
	if c.detour.taken {
		return
	}
	from := c.position
	c.detour.taken = true
	c.session.group.Pause(c.itself())
	c.log.Warn("the client cannot read a batch of the partition: it is read batch by batch from now on", "offset", from)
	client := c.session.coordinator.client
	reader := c.session.client.NewBatchReader(client, c.partition.Topic(), c.partition.Partition(), from,
		&kafkaclient.BatchReaderOptions{Log: c.log})
	c.detour.done.Go(func() {
		defer reader.Close()
		for {
			fetched, err := reader.Next(c.detour.ctx)
			if err != nil {
				return
			}
			select {
			case c.detour.arrived <- fetched:
			case <-c.detour.ctx.Done():
				return
			}
		}
	})
}

// admitFetched queues what the reader read. The place of a batch whose bytes cannot be had is that of its last record: when
// the dead letter is acknowledged, all of the batch is finished.
func (c *claim) admitFetched(f kafkaclient.Fetched) error {
	if f.Lost == nil {
		return c.admitAll(f.Messages)
	}
	c.log.Error("a batch cannot be read: its records are lost, a dead letter tells which", "error", f.Lost)
	c.name(f.Lost)
	c.detour.lost[f.Lost.Last] = f.Lost
	return c.admitAll([]*sarama.ConsumerMessage{{Topic: f.Lost.Topic, Partition: f.Lost.Partition, Offset: f.Lost.Last}})
}

// name has readiness name the batch that was lost, for a while, or nothing any more.
func (c *claim) name(lost *kafkaclient.LostError) {
	group, topic, partition := c.session.pipeline.Group(), c.partition.Topic(), c.partition.Partition()
	if lost == nil {
		c.detour.named = time.Time{}
		c.session.monitor.Stuck(group, topic, partition, nil)
		return
	}
	c.detour.named = time.Now().Add(notice)
	c.session.monitor.Stuck(group, topic, partition, lost)
}
