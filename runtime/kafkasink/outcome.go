package kafkasink

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/IBM/sarama"
	"github.com/eapache/go-resiliency/breaker"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// classify says, in the words of package function, what err of the producer means for the record that subject names.
func classify(subject, topic string, brokers []string, err error) error {
	switch {
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("%s: the topic does not exist, and publishing does not create it: create it with "+
			"kafka-topics.sh --create --topic %s, or add it to infra/topics.yaml: %w", subject, topic, err)
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed):
		return fmt.Errorf("%s: not allowed: grant WRITE and DESCRIBE on the topic to this client's principal: %w", subject, err)
	case errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("%s: not allowed: grant IDEMPOTENT_WRITE on the cluster to this client's principal: %w", subject, err)
	case isAny(err, refusals):
		return invalid(subject, err)
	case isUnavailable(err):
		return function.Unavailable(Dependency, fmt.Errorf("%s: %w", subject, kafkaclient.Explain(err, brokers)))
	}
	return fmt.Errorf("%s: %w", subject, err)
}

// invalid is the error of a record that will be refused each time.
func invalid(subject string, err error) error {
	return &function.PermanentError{Class: function.ClassOutput, Err: fmt.Errorf("%s: %w", subject, err)}
}

// tooLarge is the error of a record that no batch has room for.
func tooLarge(subject string, size, limit int) error {
	return invalid(subject, fmt.Errorf("the record has %d bytes, more than the sink's limit of %d", size, limit))
}

// refusals are the broker's answers that are about the record.
var refusals = []sarama.KError{
	sarama.ErrMessageSizeTooLarge,
	sarama.ErrMessageSetSizeTooLarge,
	sarama.ErrInvalidRecord,
	sarama.ErrInvalidTimestamp,
	sarama.ErrInvalidTopic,
	sarama.ErrPolicyViolation,
	sarama.ErrUnsupportedForMessageFormat,
}

// outages are the broker's answers that pass: they are about the cluster, or about the producer's standing with it.
var outages = []sarama.KError{
	sarama.ErrLeaderNotAvailable,
	sarama.ErrNotLeaderForPartition,
	sarama.ErrRequestTimedOut,
	sarama.ErrBrokerNotAvailable,
	sarama.ErrReplicaNotAvailable,
	sarama.ErrNetworkException,
	sarama.ErrConsumerCoordinatorNotAvailable,
	sarama.ErrNotCoordinatorForConsumer,
	sarama.ErrOffsetsLoadInProgress,
	sarama.ErrNotEnoughReplicas,
	sarama.ErrNotEnoughReplicasAfterAppend,
	sarama.ErrKafkaStorageError,
	sarama.ErrFencedLeaderEpoch,
	sarama.ErrUnknownLeaderEpoch,
	sarama.ErrListenerNotFound,
	sarama.ErrThrottlingQuotaExceeded,
	sarama.ErrSASLAuthenticationFailed,
	sarama.ErrIllegalSASLState,
	sarama.ErrUnsupportedSASLMechanism,
	// After these sarama starts a new epoch: the next attempt begins afresh.
	sarama.ErrOutOfOrderSequenceNumber,
	sarama.ErrInvalidProducerEpoch,
	sarama.ErrUnknownProducerID,
	sarama.ErrInvalidProducerIDMapping,
	sarama.ErrProducerFenced,
}

// isUnavailable tells whether err is the cluster's. What is not an answer of the broker's is one of the connection.
func isUnavailable(err error) bool {
	if isAny(err, outages) {
		return true
	}
	_, answer := errors.AsType[sarama.KError](err)
	_, encoding := errors.AsType[sarama.PacketEncodingError](err)
	_, settings := errors.AsType[sarama.ConfigurationError](err)
	return !answer && !encoding && !settings
}

func isAny(err error, answers []sarama.KError) bool {
	return slices.ContainsFunc(answers, func(k sarama.KError) bool { return errors.Is(err, k) })
}

// failures remembers why publishing to a topic failed last. After three failures in a row sarama rests for 10 s and
// only says so; the reason is what its caller has to know.
type failures struct {
	mu   sync.Mutex
	last map[string]error
}

// explain returns err, or in place of sarama's circuit breaker what opened it.
func (f *failures) explain(topic string, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !errors.Is(err, breaker.ErrBreakerOpen) {
		if f.last == nil {
			f.last = map[string]error{}
		}
		f.last[topic] = err
		return err
	}
	if cause, ok := f.last[topic]; ok {
		return cause
	}
	return err
}
