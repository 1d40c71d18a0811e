package consumergroup

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// answerTimeout is how long the coordinator may take to answer. It never waits for other members here, as it does in a
// join: more means that the connection is dead.
const answerTimeout = 10 * time.Second

// coordinator speaks to the broker that keeps the group's offsets, over a connection of its own: on sarama's, requests
// wait until a rebalance is over, and partitions that are kept must go on meanwhile. Its methods may be called
// concurrently.
type coordinator struct {
	client   sarama.Client
	group    string
	instance *string
}

// identity is a membership as the coordinator knows it.
type identity struct {
	generation int32
	id         string
}

// position is an offset as it is committed.
type position struct {
	topic     string
	partition int32
	next      int64
	metadata  string
}

// commit writes positions down as the member's. It returns an error for each, nil where it is written.
func (c *coordinator) commit(who identity, positions []position) []error {
	request := sarama.NewOffsetCommitRequest(c.client.Config(), c.group)
	request.ConsumerGroupGeneration, request.ConsumerID, request.GroupInstanceId = who.generation, who.id, c.instance
	for _, p := range positions {
		request.AddBlockWithLeaderEpoch(p.topic, p.partition, p.next, -1, 0, p.metadata)
	}
	errs := make([]error, len(positions))
	response, err := ask(c, func(b *sarama.Broker) (*sarama.OffsetCommitResponse, error) { return b.CommitOffset(request) })
	for i, p := range positions {
		errs[i] = err
		if err != nil {
			continue
		}
		code, ok := response.Errors[p.topic][p.partition]
		switch {
		case !ok:
			errs[i] = sarama.ErrIncompleteResponse
		case code != sarama.ErrNoError:
			errs[i] = c.failed(code)
		}
	}
	return errs
}

// committed returns the position that the group has committed for a partition; next is -1 where there is none. It is
// what no transaction can change any more.
func (c *coordinator) committed(topic string, partition int32) (position, error) {
	p := position{topic: topic, partition: partition, next: -1}
	request := sarama.NewOffsetFetchRequest(c.client.Config().Version, c.group, map[string][]int32{topic: {partition}})
	request.RequireStable = true
	response, err := ask(c, func(b *sarama.Broker) (*sarama.OffsetFetchResponse, error) { return b.FetchOffset(request) })
	if err != nil {
		return p, err
	}
	block := response.GetBlock(topic, partition)
	switch {
	case block == nil && len(response.Groups) > 0:
		return p, c.failed(response.Groups[0].Err)
	case block == nil:
		return p, c.failed(response.Err)
	case block.Err != sarama.ErrNoError:
		return p, c.failed(block.Err)
	}
	p.next, p.metadata = block.Offset, block.Metadata
	return p, nil
}

// heartbeat asks whether the coordinator still counts on the member. While the group rebalances it does.
func (c *coordinator) heartbeat(who identity) error {
	request := &sarama.HeartbeatRequest{
		Version: 4, GroupId: c.group, GenerationId: who.generation, MemberId: who.id, GroupInstanceId: c.instance,
	}
	response, err := ask(c, func(b *sarama.Broker) (*sarama.HeartbeatResponse, error) { return b.Heartbeat(request) })
	switch {
	case err != nil:
		return err
	case response.Err == sarama.ErrNoError || response.Err == sarama.ErrRebalanceInProgress:
		return nil
	}
	return c.failed(response.Err)
}

// ask sends a request to the coordinator. Where that fails, it is looked for again with the next request.
func ask[R any](c *coordinator, request func(*sarama.Broker) (R, error)) (R, error) {
	var none R
	broker, err := c.client.Coordinator(c.group)
	if err != nil {
		return none, fmt.Errorf("find the coordinator of consumer group %s: %w", c.group, err)
	}
	response, err := request(broker)
	if err != nil {
		_ = broker.Close()
		c.refresh()
		return none, fmt.Errorf("ask the coordinator of consumer group %s (%s): %w", c.group, broker.Addr(), err)
	}
	return response, nil
}

// failed returns code as an error, and looks for the coordinator where it moved.
func (c *coordinator) failed(code sarama.KError) error {
	if code == sarama.ErrNoError {
		return sarama.ErrIncompleteResponse
	}
	if code == sarama.ErrNotCoordinatorForConsumer || code == sarama.ErrConsumerCoordinatorNotAvailable {
		c.refresh()
	}
	return code
}

// refresh looks for the coordinator. Where nobody answers, the next request fails and looks again.
func (c *coordinator) refresh() { _ = c.client.RefreshCoordinator(c.group) }

// moved tells whether the coordinator refused because the group went on without this member, or in a new generation.
func moved(err error) bool {
	return errors.Is(err, sarama.ErrIllegalGeneration) || errors.Is(err, sarama.ErrUnknownMemberId) ||
		errors.Is(err, sarama.ErrFencedInstancedId)
}
