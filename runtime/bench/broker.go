package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"

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

	client sarama.Client
	admin  sarama.ClusterAdmin
	stop   func() error

	mu     sync.Mutex
	topics []string
	// filled and letters are what consumers read, and where what they cannot handle goes.
	filled, letters string
}

// connect starts the embedded broker where no other is given.
func (c *cluster) connect() error {
	if len(c.brokers) == 0 {
		if err := c.start(); err != nil {
			return fmt.Errorf("start the embedded broker: %w", err)
		}
	}
	config, err := kafkaclient.Config{Brokers: c.brokers}.Sarama("bench")
	if err != nil {
		return err
	}
	config.Metadata.Full = true
	if c.client, err = sarama.NewClient(c.brokers, config); err != nil {
		return fmt.Errorf("connect to %s: %w", strings.Join(c.brokers, ","), err)
	}
	c.admin, err = sarama.NewClusterAdminFromClient(c.client)
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

// input returns the topic of records events that consumers read, and the one for their dead letters. Both are made once.
func (c *cluster) input(ctx context.Context, records int) (topic, deadLetters string, err error) {
	if c.filled == "" {
		if c.letters, err = c.newTopic("dead-letters"); err != nil {
			return "", "", err
		}
		if c.filled, err = c.newTopic("input"); err != nil {
			return "", "", err
		}
		if err := fill(ctx, c.brokers, c.filled, records); err != nil {
			return "", "", fmt.Errorf("fill topic %s: %w", c.filled, err)
		}
	}
	return c.filled, c.letters, nil
}

// newTopic creates a topic under a name that no other run uses.
func (c *cluster) newTopic(name string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name = "bench-" + name + "-" + uuid.NewString()
	if err := c.admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1}, false); err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	c.topics = append(c.topics, name)
	return name, nil
}

// dropTopic deletes a topic that newTopic made.
func (c *cluster) dropTopic(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics = slices.DeleteFunc(c.topics, func(t string) bool { return t == name })
	if err := c.admin.DeleteTopic(name); err != nil {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	return nil
}

// dropGroup deletes a group whose members have left.
func (c *cluster) dropGroup(group string) error {
	if err := c.admin.DeleteConsumerGroup(group); err != nil && !errors.Is(err, sarama.ErrGroupIDNotFound) {
		return fmt.Errorf("delete consumer group %s: %w", group, err)
	}
	return nil
}

// length is how many records a topic holds, of which none was deleted.
func (c *cluster) length(topic string) (int64, error) {
	var total int64
	for p := range int32(partitions) {
		end, err := c.client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return 0, fmt.Errorf("end of %s/%d: %w", topic, p, err)
		}
		total += end
	}
	return total, nil
}

// committed is the offset that a group has committed for a partition, -1 for none.
func (c *cluster) committed(group, topic string, partition int32) (int64, error) {
	offsets, err := c.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	if err != nil {
		return 0, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	return offsets.GetBlock(topic, partition).Offset, nil
}

// close removes what was made in the cluster, and the embedded broker.
func (c *cluster) close() error {
	var problems []error
	if c.admin != nil {
		for _, name := range slices.Clone(c.topics) {
			problems = append(problems, c.dropTopic(name))
		}
		problems = append(problems, c.admin.Close())
	}
	if c.stop != nil {
		problems = append(problems, c.stop())
	}
	return errors.Join(problems...)
}
