package kafkasink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// transaction is what one Commit was called with.
type transaction struct {
	records []Prepared
	offsets []Offset
	member  *sarama.ConsumerGroupMetadata
	// unclear says that the coordinator was asked to commit and did not say clearly whether it has.
	unclear bool
}

// misuseError is a transaction that can never be committed.
type misuseError struct{ err error }

func (e *misuseError) Error() string { return "commit a transaction: " + e.err.Error() }

func (e *misuseError) Unwrap() error { return e.err }

// run does all of tx in the current epoch.
func (t *Transactor) run(ctx context.Context, tx *transaction) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, t.options.TransactionTimeout*2/3, errTransactionSlow)
	defer cancel()
	defer t.connections.CutAtEndOf(ctx)()
	err := t.steps(ctx, tx)
	if err == nil || time.Since(began) < t.options.TransactionTimeout && ctx.Err() == nil {
		return err
	}
	if isAny(err, fencings) {
		// It was the coordinator, which aborts what takes too long.
		return fmt.Errorf("%w: %v", errTransactionSlow, err) //nolint:errorlint // the answer means something else here
	}
	return fmt.Errorf("%w: %w", cmp.Or(context.Cause(ctx), errTransactionSlow), err)
}

func (t *Transactor) steps(ctx context.Context, tx *transaction) error {
	tx.unclear = false
	queues, err := t.route(tx)
	if err != nil {
		return err
	}
	if err := t.addPartitions(ctx, tx, queues); err != nil {
		return err
	}
	if err := t.publish(ctx, tx, queues); err != nil {
		return err
	}
	if err := t.addOffsets(ctx, tx); err != nil {
		return err
	}
	return t.end(ctx, tx)
}

// addPartitions tells the coordinator which partitions the transaction writes to.
func (t *Transactor) addPartitions(ctx context.Context, tx *transaction, queues []*queue) error {
	if len(queues) == 0 {
		return nil
	}
	request := &sarama.AddPartitionsToTxnRequest{
		Version:         3,
		TransactionalID: t.id,
		ProducerID:      t.epoch.id,
		ProducerEpoch:   t.epoch.number,
		TopicPartitions: map[string][]int32{},
	}
	for _, q := range queues {
		request.TopicPartitions[q.topic] = append(request.TopicPartitions[q.topic], q.partition)
	}
	var refused map[string]error
	err := repeat(ctx, func() error {
		refused = nil
		return t.coordinator().ask(func(b *sarama.Broker) (sarama.KError, error) {
			response, err := b.AddPartitionsToTxn(request)
			if err != nil {
				return 0, err
			}
			var answer sarama.KError
			refused, answer = sortAnswers(response)
			return answer, nil
		})
	})
	if len(refused) > 0 && ctx.Err() == nil {
		return t.failTopics(tx, refused)
	}
	return err
}

// sortAnswers returns what the coordinator has against topics, and the answer for all.
func sortAnswers(response *sarama.AddPartitionsToTxnResponse) (topics map[string]error, answer sarama.KError) {
	topics = map[string]error{}
	for topic, partitions := range response.Errors {
		for _, p := range partitions {
			switch p.Err {
			case sarama.ErrNoError, sarama.ErrOperationNotAttempted:
			case sarama.ErrTopicAuthorizationFailed, sarama.ErrUnknownTopicOrPartition, sarama.ErrInvalidTopic:
				topics[topic], answer = p.Err, p.Err
			default:
				return nil, p.Err
			}
		}
	}
	return topics, answer
}

// addOffsets makes the offsets part of the transaction.
func (t *Transactor) addOffsets(ctx context.Context, tx *transaction) error {
	if len(tx.offsets) == 0 {
		return nil
	}
	err := repeat(ctx, func() error { return t.addGroup(tx.member.GroupID) })
	if err != nil {
		return err
	}
	request := t.offsetsRequest(tx)
	err = repeat(ctx, func() error { return t.commitOffsets(request) })
	if isAny(err, groupRefusals) {
		return &GroupError{Group: tx.member.GroupID, Err: err}
	}
	return err
}

// groupRefusals are the answers to a member that is not the group's any more.
var groupRefusals = []sarama.KError{
	sarama.ErrIllegalGeneration,
	sarama.ErrUnknownMemberId,
	sarama.ErrFencedInstancedId,
	sarama.ErrRebalanceInProgress,
}

// addGroup tells the coordinator that the transaction commits offsets of group.
func (t *Transactor) addGroup(group string) error {
	return t.coordinator().ask(func(b *sarama.Broker) (sarama.KError, error) {
		response, err := b.AddOffsetsToTxn(&sarama.AddOffsetsToTxnRequest{
			Version:         3,
			TransactionalID: t.id,
			ProducerID:      t.epoch.id,
			ProducerEpoch:   t.epoch.number,
			GroupID:         group,
		})
		if err != nil {
			return 0, err
		}
		return response.Err, nil
	})
}

func (t *Transactor) offsetsRequest(tx *transaction) *sarama.TxnOffsetCommitRequest {
	request := &sarama.TxnOffsetCommitRequest{
		Version:         3,
		TransactionalID: t.id,
		GroupID:         tx.member.GroupID,
		ProducerID:      t.epoch.id,
		ProducerEpoch:   t.epoch.number,
		GenerationID:    tx.member.GenerationID,
		MemberID:        tx.member.MemberID,
		GroupInstanceID: tx.member.GroupInstanceID,
		Topics:          map[string][]*sarama.PartitionOffsetMetadata{},
	}
	for i := range tx.offsets {
		o := &tx.offsets[i]
		request.Topics[o.Topic] = append(request.Topics[o.Topic], &sarama.PartitionOffsetMetadata{
			Partition: o.Partition, Offset: o.Next, LeaderEpoch: -1, Metadata: &o.Metadata,
		})
	}
	return request
}

func (t *Transactor) commitOffsets(request *sarama.TxnOffsetCommitRequest) error {
	var refused error
	err := t.groupCoordinator(request.GroupID).ask(func(b *sarama.Broker) (sarama.KError, error) {
		response, err := b.TxnOffsetCommit(request)
		if err != nil {
			return 0, err
		}
		for topic, partitions := range response.Topics {
			for _, p := range partitions {
				if p.Err != sarama.ErrNoError {
					refused = fmt.Errorf("offset of topic %s partition %d: %w", topic, p.Partition, p.Err)
					return p.Err, nil
				}
			}
		}
		return sarama.ErrNoError, nil
	})
	if errors.Is(err, sarama.ErrOffsetMetadataTooLarge) || errors.Is(err, sarama.ErrInvalidCommitOffsetSize) {
		return &misuseError{refused}
	}
	if refused != nil {
		return refused
	}
	return err
}

// end asks the coordinator to commit. Where that is not clear afterwards, tx says so.
func (t *Transactor) end(ctx context.Context, tx *transaction) error {
	request := &sarama.EndTxnRequest{
		Version:           3,
		TransactionalID:   t.id,
		ProducerID:        t.epoch.id,
		ProducerEpoch:     t.epoch.number,
		TransactionResult: true,
	}
	return repeat(ctx, func() error {
		err := t.coordinator().ask(func(b *sarama.Broker) (sarama.KError, error) {
			response, err := b.EndTxn(request)
			if err != nil {
				return 0, err
			}
			return response.Err, nil
		})
		if _, lost := errors.AsType[*lostError](err); lost || isAny(err, postponements) {
			tx.unclear = true
		}
		return err
	})
}
