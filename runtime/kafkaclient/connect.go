package kafkaclient

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// connectTimeout is how long Connect looks for a broker. A program that cannot start should say so soon.
const connectTimeout = 4500 * time.Millisecond

// Connect returns a client with the settings conf, which came from [Config.Sarama], once one of the brokers accepted our
// credentials and answered. Otherwise it returns, within 5 s, an error that says for each address what is wrong
// and what to do ([Explain]). The caller closes the client.
func (c Config) Connect(conf *sarama.Config) (sarama.Client, error) {
	if err := probe(c.Brokers, conf, connectTimeout); err != nil {
		return nil, err
	}
	client, err := sarama.NewClient(c.Brokers, conf)
	if err != nil {
		return nil, Explain(err, c.Brokers)
	}
	return client, nil
}

// Admin returns a client for topics, groups and offsets, whose Close closes everything it uses. Its errors are as those
// of [Config.Connect].
func (c Config) Admin() (sarama.ClusterAdmin, error) {
	conf, err := c.Sarama("millrace-admin")
	if err != nil {
		return nil, err
	}
	// Without it sarama looks for the controller only once a topic was asked for.
	conf.Metadata.Full = true
	client, err := c.Connect(conf)
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return nil, errors.Join(Explain(err, c.Brokers), client.Close())
	}
	return admin, nil
}

// probe connects to all brokers at once and returns nil as soon as one answered, or why none did.
func probe(brokers []string, conf *sarama.Config, patience time.Duration) error {
	type answer struct {
		addr string
		err  error
	}
	answers := make(chan answer, len(brokers))
	for _, addr := range brokers {
		go func() { answers <- answer{addr, reach(addr, conf)} }()
	}
	timeout := time.After(patience)
	problems := make([]error, 0, len(brokers))
	for range brokers {
		select {
		case a := <-answers:
			if a.err == nil {
				return nil
			}
			problems = append(problems, Explain(a.err, []string{a.addr}))
		case <-timeout:
			problems = append(problems, Explain(noAnswerError(patience), brokers))
			return errors.Join(problems...)
		}
	}
	return errors.Join(problems...)
}

// reach connects to one broker, asks it something and leaves.
func reach(addr string, conf *sarama.Config) error {
	broker := sarama.NewBroker(addr)
	if err := broker.Open(conf); err != nil {
		return err
	}
	// A broker that asks for SASL or TLS may take a connection without and close it at the first request. The topic is
	// one that each cluster may have: it keeps the answer small.
	_, err := broker.GetMetadata(sarama.NewMetadataRequest(conf.Version, []string{"__consumer_offsets"}))
	if connected, _ := broker.Connected(); connected {
		err = errors.Join(err, broker.Close())
	}
	return err
}

// noAnswerError is the time that went by without an answer.
type noAnswerError time.Duration

func (e noAnswerError) Error() string { return fmt.Sprintf("no answer within %s", time.Duration(e)) }

// Timeout makes it a time-out as those of package net are.
func (noAnswerError) Timeout() bool { return true }
