package consumergroup

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// session is one membership: from joining the group to leaving it. With cooperative rebalancing claims come and go
// within it.
type session struct {
	*member

	// dirty says that an offset was marked since the last commit.
	dirty   atomic.Bool
	stop    chan struct{}
	commits sync.WaitGroup
}

// Setup starts the goroutine that commits. A commit waits while the group rebalances: no claim may have to.
func (s *session) Setup(joined sarama.ConsumerGroupSession) error {
	s.stop = make(chan struct{})
	s.commits.Go(func() {
		tick := time.NewTicker(s.config.CommitInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.commit(joined)
			case <-s.stop:
				return
			}
		}
	})
	s.monitor.Joined(s.pipeline.Group())
	return nil
}

// Cleanup runs when every claim has returned.
func (s *session) Cleanup(left sarama.ConsumerGroupSession) error {
	close(s.stop)
	s.commits.Wait()
	s.commit(left)
	s.monitor.Left(s.pipeline.Group())
	return nil
}

// commit sends the marked offsets to the broker, if there are any. Its failure arrives at the member's errors, and the
// offsets stay marked.
func (s *session) commit(current sarama.ConsumerGroupSession) {
	if s.dirty.Swap(false) {
		current.Commit()
	}
}

// ConsumeClaim reads one partition until it is taken away or the session ends: both close its channel of messages.
func (s *session) ConsumeClaim(current sarama.ConsumerGroupSession, partition sarama.ConsumerGroupClaim) error {
	c := newClaim(s, current, partition)
	defer s.monitor.Released(s.pipeline.Group(), partition.Topic(), partition.Partition())
	err := c.read()
	c.drain()
	// What is marked but not committed when the claim returns would be lost with it.
	s.commit(current)
	return err
}
