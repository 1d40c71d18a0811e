package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// DefaultPort is where every tutorial and client expects Kafka.
const DefaultPort = 9092

// AnyPort asks for a free port.
const AnyPort = -1

// startTimeout bounds the creation of topics at the start.
const startTimeout = 10 * time.Second

// Options are the settings of a broker. The zero value is usable.
type Options struct {
	// Port is the port on 127.0.0.1, and on ::1 where that can be had. Default: [DefaultPort]. [AnyPort] takes a free one.
	Port int
	// DataDir keeps topics, records and consumer groups in a folder, made if it is missing. What was acknowledged survives
	// the death of the process, but not of the machine: files are not synced for each record. Default: in memory.
	DataDir string
	// Topics are created where they are missing; nothing else ever creates a topic by itself. Default: [infra.Topics].
	Topics []infra.Topic
}

// Broker is a running broker. Its methods may be called concurrently.
type Broker struct {
	addr     string
	ensured  cluster.Ensured
	kafka    *kfake.Cluster
	listener net.Listener
	unlock   func() error
	close    sync.Once
}

// PortInUseError says that another process listens on the port.
type PortInUseError struct {
	Addr string
	Err  error
}

func (e *PortInUseError) Error() string {
	return fmt.Sprintf("the address %s is in use by another process: %v", e.Addr, e.Err)
}

// Unwrap returns the cause.
func (e *PortInUseError) Unwrap() error { return e.Err }

// Start starts a broker and creates the topics that are missing. A port in use is a [*PortInUseError], a data folder in
// use a [*DataInUseError].
func Start(ctx context.Context, o *Options) (*Broker, error) {
	if o == nil {
		o = &Options{}
	}
	b := &Broker{unlock: func() error { return nil }}
	opts, err := b.prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	if b.kafka, err = kfake.NewCluster(opts...); err != nil {
		return nil, errors.Join(b.startError(o, err), b.unlock())
	}
	b.addr = b.listener.Addr().String()
	if err := b.createTopics(ctx, o.Topics); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded Kafka at %s: %w", b.addr, err), b.Close())
	}
	return b, nil
}

func (b *Broker) prepare(ctx context.Context, o *Options) ([]kfake.Opt, error) {
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(func(network, _ string) (net.Listener, error) {
		var err error
		b.listener, err = listenLoopback(ctx, network, o.Port)
		return b.listener, err
	})}
	if o.DataDir == "" {
		return opts, nil
	}
	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("data folder of the embedded Kafka: %w", err)
	}
	unlock, err := lock(o.DataDir)
	if err != nil {
		return nil, err
	}
	b.unlock = unlock
	return append(opts, kfake.DataDir(filepath.Join(o.DataDir, "kafka"))), nil
}

func (b *Broker) startError(o *Options, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortInUseError{Addr: loopback(cmp.Or(o.Port, DefaultPort)), Err: syscall.EADDRINUSE}
	}
	if o.DataDir != "" {
		return fmt.Errorf("embedded Kafka with its data in %s: %w", o.DataDir, err)
	}
	return fmt.Errorf("embedded Kafka: %w", err)
}

func (b *Broker) createTopics(ctx context.Context, topics []infra.Topic) error {
	if topics == nil {
		topics = infra.Topics()
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := cluster.Connect(ctx, kafkaclient.Config{Brokers: []string{b.addr}})
	if err != nil {
		return err
	}
	defer client.Close()
	b.ensured, err = client.EnsureTopics(ctx, topics)
	return err
}

// Addr is the broker's address for clients, "127.0.0.1:9092".
func (b *Broker) Addr() string { return b.addr }

// Ensured tells which topics Start created, and which of a kept folder differ from the list.
func (b *Broker) Ensured() cluster.Ensured { return b.ensured }

// Close ends the broker and, with a data folder, writes down what a clean end leaves. Calls after the first do nothing.
func (b *Broker) Close() error {
	var err error
	b.close.Do(func() {
		b.kafka.Close()
		err = b.unlock()
	})
	return err
}
