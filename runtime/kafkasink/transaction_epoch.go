package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// epoch is a producer's standing with the coordinator of transactions. It ends with the first request that fails.
type epoch struct {
	id     int64
	number int16
	// sequences are the numbers of the next records.
	sequences map[topicPartition]int32
}

// topicPartition is a partition of a topic.
type topicPartition struct {
	topic     string
	partition int32
}

// lostError says that a request had no answer: the broker may have done what it asks for, or may do so later.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

func (e *lostError) Unwrap() error { return e.err }

// The waits between requests that are repeated. The first are short: the coordinator answers ConcurrentTransactions for
// a few milliseconds, until the transaction before is finished.
const (
	shortestWait = time.Millisecond
	longestWait  = 100 * time.Millisecond
	// answerPatience is how long a request is repeated that is answered "later". A leader's election takes less.
	answerPatience = 5 * time.Second
)

// wait sleeps before the retry-th repetition, the first of which is 1, or until ctx ends.
func wait(ctx context.Context, retry int) error {
	timer := time.NewTimer(min(shortestWait<<min(retry/4, 10), longestWait))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// repeat calls request until the answer is not "later": an answer that passes, of this list, by a broker that has not done
// what it was asked for. A request without an answer is not repeated.
func repeat(ctx context.Context, request func() error) error {
	for began, retry := time.Now(), 1; ; retry++ {
		err := request()
		if !isAny(err, postponements) || time.Since(began) > answerPatience {
			return err
		}
		if stopped := wait(ctx, retry); stopped != nil {
			return fmt.Errorf("%w: %w", stopped, err)
		}
	}
}

// postponements are the answers "later".
var postponements = []sarama.KError{
	sarama.ErrConcurrentTransactions,
	sarama.ErrOffsetsLoadInProgress,
	sarama.ErrConsumerCoordinatorNotAvailable,
	sarama.ErrNotCoordinatorForConsumer,
	sarama.ErrUnknownTopicOrPartition,
	sarama.ErrLeaderNotAvailable,
	sarama.ErrNotLeaderForPartition,
	sarama.ErrInvalidMessage,
	sarama.ErrRequestTimedOut,
	sarama.ErrReplicaNotAvailable,
	sarama.ErrNetworkException,
	sarama.ErrNotEnoughReplicas,
	sarama.ErrNotEnoughReplicasAfterAppend,
	sarama.ErrKafkaStorageError,
	sarama.ErrFencedLeaderEpoch,
	sarama.ErrUnknownLeaderEpoch,
	sarama.ErrUnstableOffsetCommit,
	sarama.ErrThrottlingQuotaExceeded,
}

// fencings are the answers to a producer whose transactional id has a newer epoch.
var fencings = []sarama.KError{sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch}

// isCoordinatorGone tells whether err says that another broker has to be asked.
func isCoordinatorGone(err error) bool {
	return isAny(err, []sarama.KError{sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer})
}

// transactionAdvice is what to do about err, or "".
func transactionAdvice(id string, err error) string {
	switch {
	case errors.Is(err, sarama.ErrTransactionalIDAuthorizationFailed):
		return "not allowed: grant WRITE and DESCRIBE on transactional id " + id + " to this client's principal"
	case errors.Is(err, sarama.ErrGroupAuthorizationFailed):
		return "not allowed: grant READ on the group to this client's principal"
	case errors.Is(err, sarama.ErrInvalidTransactionTimeout):
		return "the broker's transaction.max.timeout.ms is less than Options.TransactionTimeout"
	}
	return ""
}

// begin begins a new epoch: what the one before left open is aborted, what it asked to commit is finished, and what it
// still has on its way is refused when it arrives.
func (t *Transactor) begin(ctx context.Context) error {
	var begun *epoch
	err := repeat(ctx, func() error {
		var err error
		begun, err = t.initProducerID()
		return err
	})
	if err != nil {
		return fmt.Errorf("begin an epoch of transactional id %s: %w", t.id, err)
	}
	t.epoch = begun
	return nil
}

func (t *Transactor) initProducerID() (*epoch, error) {
	request := &sarama.InitProducerIDRequest{
		Version:            4,
		TransactionalID:    &t.id,
		TransactionTimeout: t.options.TransactionTimeout,
		ProducerID:         -1,
		ProducerEpoch:      -1,
	}
	var begun *epoch
	err := t.coordinator().ask(func(b *sarama.Broker) (sarama.KError, error) {
		response, err := b.InitProducerID(request)
		if err != nil {
			return 0, err
		}
		begun = &epoch{id: response.ProducerID, number: response.ProducerEpoch, sequences: map[topicPartition]int32{}}
		return response.Err, nil
	})
	return begun, err
}

// coordinator is the broker that is in charge of a transactional id or of a group.
type coordinator struct {
	name    string
	find    func(name string) (*sarama.Broker, error)
	refresh func(name string) error
}

func (t *Transactor) coordinator() coordinator {
	return coordinator{t.id, t.client.TransactionCoordinator, t.client.RefreshTransactionCoordinator}
}

func (t *Transactor) groupCoordinator(group string) coordinator {
	return coordinator{group, t.client.Coordinator, t.client.RefreshCoordinator}
}

// ask sends one request, which returns the broker's answer, or an error where there was none. ask returns the answer where
// it is an error, or a lostError.
func (c coordinator) ask(request func(*sarama.Broker) (sarama.KError, error)) error {
	broker, err := c.find(c.name)
	if _, answer := errors.AsType[sarama.KError](err); answer {
		return err
	}
	if err != nil {
		return &lostError{err}
	}
	answer, err := request(broker)
	if err != nil || isCoordinatorGone(answer) {
		// Another broker may be in charge now. What cannot be asked here is asked with the next request.
		_ = c.refresh(c.name)
	}
	if err != nil {
		return &lostError{err}
	}
	if answer != sarama.ErrNoError {
		return answer
	}
	return nil
}
