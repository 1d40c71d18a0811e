package consumergroup

import (
	"time"

	"github.com/IBM/sarama"
)

// session is one membership: from joining the group to leaving it. With cooperative rebalancing claims come and go
// within it.
type session struct {
	*member

	membership *membership
	// owned tells whether handlers may start.
	owned func() bool
}

// Setup starts the heartbeats.
func (s *session) Setup(joined sarama.ConsumerGroupSession) error {
	s.membership = &membership{coordinator: s.coordinator, interval: s.config.Heartbeat, timeout: s.config.SessionTimeout}
	s.owned = func() bool { return s.membership.holds(time.Now()) }
	s.membership.join(joined)
	s.monitor.Joined(s.pipeline.Group())
	return nil
}

// Cleanup runs when every claim has returned.
func (s *session) Cleanup(sarama.ConsumerGroupSession) error {
	s.membership.leave()
	s.monitor.Left(s.pipeline.Group())
	return nil
}

// ConsumeClaim reads one partition until it is taken away or the session ends: both close its channel of messages.
func (s *session) ConsumeClaim(current sarama.ConsumerGroupSession, partition sarama.ConsumerGroupClaim) error {
	c := newClaim(s, current, partition)
	defer s.monitor.Released(s.pipeline.Group(), partition.Topic(), partition.Partition())
	defer c.cancel()
	if ok, err := c.takeover(); !ok {
		return err
	}
	s.commits.add(c)
	err := c.read()
	c.drain()
	return err
}
