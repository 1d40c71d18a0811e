package kafkaclient

import (
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
)

// RequireTopics returns nil when the cluster has each of the topics, or an error that names every one it does not have or
// does not show to this client. brokers stand in the error.
func RequireTopics(client sarama.Client, brokers []string, topics ...string) error {
	var problems []error
	for _, topic := range topics {
		_, err := client.Partitions(topic)
		switch {
		case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			problems = append(problems, fmt.Errorf(
				"topic %s does not exist on %s: create it, for neither reading nor publishing does; the ones of this project are listed in infra/topics.yaml",
				topic, strings.Join(brokers, ",")))
		case errors.Is(err, sarama.ErrTopicAuthorizationFailed):
			problems = append(problems, fmt.Errorf("topic %s: not allowed: grant DESCRIBE on it to this client's principal: %w", topic, err))
		case err != nil:
			problems = append(problems, fmt.Errorf("topic %s: %w", topic, Explain(err, brokers)))
		}
	}
	return errors.Join(problems...)
}
