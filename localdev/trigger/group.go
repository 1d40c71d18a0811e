package trigger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/trigger/template"
)

const (
	// heartbeats are sent at least three times in a session time-out, and no less often than this.
	heartbeat = 3 * time.Second
	// rebalanceGrace is how much longer than the drain a rebalance may take.
	rebalanceGrace = 30 * time.Second
	// fetchWait is how long the broker may hold a fetch for which there is nothing. A partition that was paused is in the
	// next one.
	fetchWait = 250 * time.Millisecond
	// commitTimeout bounds a commit.
	commitTimeout = 10 * time.Second
	// deliveryTimeout bounds how long a destination may take to acknowledge a record.
	deliveryTimeout = 10 * time.Second
	// maxProduced leaves it to the broker to refuse what is too large for a destination's topic.
	maxProduced = 16 << 20
	// pollRecords bounds what is taken from the client at a time.
	pollRecords = 5000
)

// startOffset is the starting position as the client wants it.
func startOffset(m *template.Mapping) kgo.Offset {
	switch m.Start {
	case template.Latest:
		return kgo.NewOffset().AtEnd()
	case template.AtTimestamp:
		return kgo.NewOffset().AfterMilli(m.StartAt.UnixMilli())
	default:
		return kgo.NewOffset().AtStart()
	}
}

// run joins the group and serves it until ctx ends.
func (m *mapping) run(ctx context.Context) error {
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	m.working = working
	kafka, err := cluster.Connect(ctx, m.options.Kafka, m.client()...)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", m.spec.LogicalID, err)
	}
	m.kafka = kafka
	if m.outlet, err = m.newOutlet(ctx); err == nil {
		err = kafka.CheckTopic(ctx, m.spec.Topic)
	}
	if err != nil {
		close(m.done) // nobody is there for the group's callbacks
		kafka.Close()
		return fmt.Errorf("mapping %s: %w", m.spec.LogicalID, err)
	}
	m.serve(ctx)
	stopWork()
	m.work.Wait()
	return nil
}

// serve consumes until ctx ends, and leaves the group.
func (m *mapping) serve(ctx context.Context) {
	polling, stopPolling := context.WithCancel(m.working)
	defer stopPolling()
	polled := make(chan struct{})
	m.kafka.AddConsumeTopics(m.spec.Topic)
	m.work.Go(func() {
		defer close(polled)
		m.poll(polling)
	})
	m.loop(ctx, func() {
		stopPolling()
		m.work.Go(func() {
			<-polled
			m.kafka.Close() // calls revoked
			m.post(func() { m.closed = true })
		})
	})
}

// client are the settings of the client: a member of the group whose partitions change hands only when the loop says so.
func (m *mapping) client() []kgo.Opt {
	isolation := kgo.ReadCommitted()
	if m.options.ReadUncommitted {
		isolation = kgo.ReadUncommitted()
	}
	return []kgo.Opt{
		kgo.ConsumerGroup(m.spec.Group),
		// Cooperative as millrace's own members by default; range lets members of other kinds share the group.
		kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()),
		kgo.SessionTimeout(m.options.SessionTimeout),
		kgo.HeartbeatInterval(min(heartbeat, m.options.SessionTimeout/3)),
		kgo.RebalanceTimeout(m.options.Drain + rebalanceGrace),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.AdjustFetchOffsetsFn(m.positions),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
		kgo.ConsumeStartOffset(m.start),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchIsolationLevel(isolation),
		// The marker at the end of a transaction is committed along.
		kgo.KeepControlRecords(),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerBatchMaxBytes(maxProduced),
		kgo.ProducerLinger(0),
	}
}

// arrival is what was received at one offset. It has no record where there is none for the function: filtered out, or the
// marker of a transaction.
type arrival struct {
	offset int64
	record *record
	// filtered tells that the mapping's filters left the record out.
	filtered bool
	// reset tells that nothing was received: the log has lost its end or was made anew, and reading goes on at offset.
	reset bool
}

// poll hands the loop what is received. Partitions are not taken away between the two.
func (m *mapping) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := m.kafka.PollRecords(ctx, pollRecords)
		arrived := map[int32][]arrival{}
		now := time.Now()
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			arrived[p.Partition] = append(arrived[p.Partition], m.prepare(p, now)...)
		})
		m.call(func() {
			if ctx.Err() == nil {
				m.received(arrived, fetches.Errors())
			}
		})
		m.kafka.AllowRebalance()
	}
}

// prepare filters and encodes records. It keeps nothing of the fetch that they lie in.
func (m *mapping) prepare(p kgo.FetchTopicPartition, now time.Time) []arrival {
	arrivals := make([]arrival, 0, len(p.Records)+1)
	for _, r := range p.Records {
		a := arrival{offset: r.Offset}
		switch {
		case r.Attrs.IsControl():
		case !m.filter.Match(r.Value).Delivered():
			a.filtered = true
		default:
			a.record = &record{
				offset: r.Offset, timestamp: r.Timestamp, key: bytes.Clone(r.Key), encoded: m.encoder.record(r), arrived: now,
			}
		}
		arrivals = append(arrivals, a)
	}
	if loss, ok := errors.AsType[*kgo.ErrDataLoss](p.Err); ok {
		arrivals = append(arrivals, arrival{offset: max(loss.ResetTo, 0), reset: true})
	}
	return arrivals
}

func (m *mapping) received(arrived map[int32][]arrival, errs []kgo.FetchError) {
	for _, e := range errs {
		m.warn(codePoll, fmt.Errorf("partition %d: %w", e.Partition, e.Err))
	}
	filtered := 0
	for partition, arrivals := range arrived {
		c := m.claims[partition]
		if c == nil || c.leaving {
			continue
		}
		for _, a := range arrivals {
			c.take(a)
			if a.filtered {
				filtered++
			}
		}
	}
	if filtered > 0 {
		m.options.Observe(Event{Kind: Filtered, Count: filtered})
	}
}

// assigned is called for each generation of the group, before positions is for the partitions that are new.
func (m *mapping) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	if len(partitions[m.spec.Topic]) == 0 {
		m.call(m.begun)
	}
}

// begun says once that the mapping is at work.
func (m *mapping) begun() {
	m.logPoller()
	if !m.started {
		m.started = true
		m.options.Started()
	}
}

// positions decides where to read each of the partitions that the group has just assigned. What it returns is where the
// claim and the client begin.
func (m *mapping) positions(ctx context.Context, found map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	starts, ends, begins, err := m.bounds(ctx)
	if err != nil {
		return nil, err
	}
	var claims []*claim
	var misplaced []error
	for partition, offset := range found[m.spec.Topic] {
		c := &claim{partition: partition, committed: -1}
		first, last := starts[partition], ends[partition]
		if offset == m.start {
			c.next = begins[partition]
		} else {
			c.committed = offset.EpochOffset().Offset
			c.next = c.committed
		}
		if c.next < first || c.next > last {
			misplaced = append(misplaced, fmt.Errorf(
				"partition %d: the group has committed offset %d, the log has %d to %d: reading begins at its start", partition, c.next, first, last))
			c.next = first
		}
		if c.next != c.committed {
			found[m.spec.Topic][partition] = kgo.NewOffset().At(c.next)
		}
		claims = append(claims, c)
	}
	m.call(func() {
		for _, c := range claims {
			m.claims[c.partition] = c
		}
		for _, err := range misplaced {
			m.warn(codePosition, err)
		}
		m.begun()
	})
	return found, nil
}

// bounds returns for each partition the log's first offset, the one after its last, and the starting position.
func (m *mapping) bounds(ctx context.Context) (starts, ends, begins map[int32]int64, err error) {
	list := func(listed kadm.ListedOffsets, failed error) map[int32]int64 {
		if failed == nil {
			failed = listed.Error()
		}
		if failed != nil && err == nil {
			err = fmt.Errorf("offsets of topic %s: %w", m.spec.Topic, failed)
		}
		offsets := map[int32]int64{}
		listed.Each(func(o kadm.ListedOffset) { offsets[o.Partition] = o.Offset })
		return offsets
	}
	starts = list(m.kafka.Admin.ListStartOffsets(ctx, m.spec.Topic))
	begins = starts
	if m.spec.Start == template.AtTimestamp {
		begins = list(m.kafka.Admin.ListOffsetsAfterMilli(ctx, m.spec.StartAt.UnixMilli(), m.spec.Topic))
	}
	// Asked for last, the end lies behind all other answers.
	ends = list(m.kafka.Admin.ListEndOffsets(ctx, m.spec.Topic))
	if m.spec.Start == template.Latest {
		begins = ends
	}
	return starts, ends, begins, err
}

// withoutMetadata makes the client commit without its member id as metadata: millrace's other doors keep there what they
// know beyond the offset, and would have to tell this from theirs.
func withoutMetadata(ctx context.Context) context.Context {
	none := ""
	return kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		for i := range request.Topics {
			for j := range request.Topics[i].Partitions {
				request.Topics[i].Partitions[j].Metadata = &none
			}
		}
		return nil
	})
}

// write commits offsets and returns those that the group took, with the first error.
func (m *mapping) write(offsets map[int32]int64) (taken map[int32]int64, failed error) {
	if len(offsets) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(withoutMetadata(context.WithoutCancel(m.working)), commitTimeout)
	defer cancel()
	wanted := map[int32]kgo.EpochOffset{}
	for partition, offset := range offsets {
		wanted[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	taken = map[int32]int64{}
	m.kafka.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{m.spec.Topic: wanted},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			if failed = err; err != nil {
				return
			}
			for _, topic := range response.Topics {
				for _, p := range topic.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						failed = fmt.Errorf("partition %d: %w", p.Partition, err)
					} else {
						taken[p.Partition] = offsets[p.Partition]
					}
				}
			}
		})
	return taken, failed
}
