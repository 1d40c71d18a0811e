package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	// transactionRecords is how many messages a transaction of sarama's peer finishes at most.
	transactionRecords = 1000
	// transactionWait is how long it waits for so many.
	transactionWait = 20 * time.Millisecond
)

// transactSarama is sarama's own example of exactly-once, a transactional producer for each partition, in batches: one
// transaction for each record would do some fifty a second.
func transactSarama(ctx context.Context, j *job, t *tally) error {
	config := saramaConsumer()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Offsets.AutoCommit.Enable = false
	return consumeGroup(ctx, j, config, transactingHandler{ctx: ctx, job: j, tally: t})
}

// transactingHandler publishes an event for each message of a partition, in transactions.
type transactingHandler struct {
	ctx   context.Context
	job   *job
	tally *tally
}

func (transactingHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (transactingHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements [sarama.ConsumerGroupHandler].
func (h transactingHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	config := saramaProducer()
	config.Producer.Return.Successes = false
	config.Producer.Transaction.ID = fmt.Sprintf("%s-%d", h.job.Group, claim.Partition())
	producer, err := sarama.NewAsyncProducer(h.job.Brokers, config)
	if err != nil {
		return err
	}
	var drained sync.WaitGroup
	var failed error
	drained.Go(func() {
		for failure := range producer.Errors() {
			failed = failure
		}
	})
	for err == nil && session.Context().Err() == nil {
		var batch []*sarama.ConsumerMessage
		if batch = take(session.Context(), claim.Messages()); len(batch) == 0 {
			break
		}
		err = h.transact(session, producer, batch)
	}
	producer.AsyncClose()
	drained.Wait()
	return errors.Join(err, failed)
}

// take returns the next messages; none when there will be no more.
func take(ctx context.Context, messages <-chan *sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	var batch []*sarama.ConsumerMessage
	var timeout <-chan time.Time
	for len(batch) < transactionRecords {
		select {
		case m, ok := <-messages:
			if !ok {
				return batch
			}
			batch = append(batch, m)
			if timeout == nil {
				timeout = time.After(transactionWait)
			}
		case <-timeout:
			return batch
		case <-ctx.Done():
			return nil
		}
	}
	return batch
}

// transact publishes what batch leads to and commits its offset.
func (h transactingHandler) transact(session sarama.ConsumerGroupSession, producer sarama.AsyncProducer, batch []*sarama.ConsumerMessage) error {
	if err := producer.BeginTxn(); err != nil {
		return err
	}
	for _, m := range batch {
		record, err := answer(h.ctx, h.job, m, h.tally)
		if err != nil {
			return err
		}
		producer.Input() <- record
	}
	member := sarama.NewConsumerGroupMetadataFromSession(session, h.job.Group, nil)
	if err := producer.AddMessageToTxnWithGroupMetadata(batch[len(batch)-1], member, nil); err != nil {
		return err
	}
	return producer.CommitTxn()
}
