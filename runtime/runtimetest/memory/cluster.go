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
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// partitions is how many each topic has.
const partitions = 3

// serveBroker is an embedded broker until stdin ends, which it does when the parent process does. Its address is the
// first line of stdout.
func serveBroker(stdin io.Reader, stdout, stderr io.Writer) int {
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

// cluster is where the function reads.
type cluster struct {
	brokers []string
	client  *kgo.Client
	admin   *kadm.Client
	// stop ends the embedded broker.
	stop func()
}

// openCluster connects to the cluster that MILLRACE_TEST_KAFKA names, or starts one.
func openCluster(ctx context.Context) (*cluster, error) {
	k := &cluster{stop: func() {}}
	if addrs := os.Getenv(runtimetest.AddressVariable); addrs != "" {
		k.brokers = strings.Split(addrs, ",")
	} else if err := k.embed(ctx); err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	var err error
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		k.stop()
		return nil, err
	}
	k.admin = kadm.NewClient(k.client)
	return k, nil
}

func (k *cluster) embed(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, self, brokerProcess)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	k.stop = func() {
		_ = stdin.Close()
		_ = command.Wait()
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	k.brokers = []string{strings.TrimSpace(address)}
	return err
}

func (k *cluster) close() {
	k.client.Close()
	k.stop()
}

// topic creates a topic under a name of its own, and returns the name.
func (k *cluster) topic(ctx context.Context, name string, maxBytes string) (string, error) {
	name += "-" + uuid.NewString()
	_, err := k.admin.CreateTopic(ctx, partitions, -1, map[string]*string{"max.message.bytes": &maxBytes}, name)
	return name, err
}

// remove deletes topics, for the memory of the broker.
func (k *cluster) remove(topics ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = k.admin.DeleteTopics(ctx, topics...)
}

// lag returns how many offsets of a topic the group has not committed, and how many it has.
func (k *cluster) lag(ctx context.Context, group, topic string) (left, committed int64, err error) {
	ends, err := k.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	commits, fetchErr := k.admin.FetchOffsets(ctx, group)
	if errors.Is(fetchErr, kerr.GroupIDNotFound) {
		// It has not joined yet.
		fetchErr = nil
	}
	if err := errors.Join(err, fetchErr); err != nil {
		return 0, 0, err
	}
	ends.Each(func(end kadm.ListedOffset) {
		if at, ok := commits.Lookup(topic, end.Partition); ok {
			committed += max(at.At, 0)
			left -= max(at.At, 0)
		}
		left += end.Offset
	})
	return left, committed, nil
}
