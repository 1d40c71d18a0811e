package consumergroup

import (
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// session is one membership: from joining the group to leaving it. With cooperative rebalancing claims come and go
// within it.
type session struct {
	*member

	stop    chan struct{}
	commits sync.WaitGroup
}

// Setup starts the goroutine that commits. A commit waits while the group rebalances: no claim may have to. It is tried on
// each tick, for one that failed is told of at the member's errors only; where nothing new is marked nothing is sent.
func (s *session) Setup(joined sarama.ConsumerGroupSession) error {
	s.stop = make(chan struct{})
	s.commits.Go(func() {
		tick := time.NewTicker(s.config.CommitInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				joined.Commit()
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
	left.Commit()
	s.monitor.Left(s.pipeline.Group())
	return nil
}

// ConsumeClaim reads one partition until it is taken away or the session ends: both close its channel of messages.
func (s *session) ConsumeClaim(current sarama.ConsumerGroupSession, partition sarama.ConsumerGroupClaim) error {
	c := newClaim(s, current, partition)
	defer s.monitor.Released(s.pipeline.Group(), partition.Topic(), partition.Partition())
	err := c.read()
	c.drain()
	// What is marked but not committed when the claim returns would be lost with it.
	current.Commit()
	return err
}
