package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// partitions is how many each topic has.
const partitions = 3

// brokerArgument makes this program an embedded broker.
const brokerArgument = "embedded-broker"

// serveBroker is an embedded broker until stdin ends, which it does when the parent process does. Its address is the
// first line of stdout.
func serveBroker(stdin io.Reader, stdout, stderr io.Writer) (status int) {
	// A terminal sends its interrupt to both processes; the parent cleans up first.
	signal.Ignore(os.Interrupt)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer kafka.Close()
	fmt.Fprintln(stdout, kafka.ListenAddrs()[0])
	_, _ = io.Copy(io.Discard, stdin)
	return 0
}

// cluster is where events are read and written.
type cluster struct {
	// brokers are empty until the embedded broker is started.
	brokers []string

	admin  sarama.ClusterAdmin
	topics []string
	stop   func() error
}

// connect starts the embedded broker where no other is given. Calls after the first do nothing.
func (c *cluster) connect() error {
	if c.admin != nil {
		return nil
	}
	if len(c.brokers) == 0 {
		if err := c.start(); err != nil {
			return fmt.Errorf("start the embedded broker: %w", err)
		}
	}
	admin, err := kafkaclient.Config{Brokers: c.brokers}.Admin()
	c.admin = admin
	return err
}

// start starts the embedded broker in a process of its own, so that its work is not counted as a peer's.
func (c *cluster) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, brokerArgument) //nolint:noctx // it ends with its stdin, after the topics are deleted
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	c.stop = func() error { return errors.Join(stdin.Close(), child.Wait()) }
	address, err := bufio.NewReader(stdout).ReadString('\n')
	c.brokers = []string{strings.TrimSpace(address)}
	return err
}

// newTopic creates a topic under a name that no other run uses.
func (c *cluster) newTopic(name string) (string, error) {
	if err := c.connect(); err != nil {
		return "", err
	}
	name = "bench-" + name + "-" + uuid.NewString()
	if err := c.admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1}, false); err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	c.topics = append(c.topics, name)
	return name, nil
}

// dropTopics deletes the topics that were made.
func (c *cluster) dropTopics() error {
	var problems []error
	for _, name := range c.topics {
		if err := c.admin.DeleteTopic(name); err != nil {
			problems = append(problems, fmt.Errorf("delete topic %s: %w", name, err))
		}
	}
	c.topics = nil
	return errors.Join(problems...)
}

// close removes what was made in the cluster, and the embedded broker.
func (c *cluster) close() error {
	var problems []error
	if c.admin != nil {
		problems = append(problems, c.dropTopics(), c.admin.Close())
	}
	if c.stop != nil {
		problems = append(problems, c.stop())
	}
	return errors.Join(problems...)
}
