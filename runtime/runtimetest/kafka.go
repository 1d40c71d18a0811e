package runtimetest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// AddressVariable names the cluster that tests use in place of embedded brokers: host:port, several joined by commas.
// runtime/runtimetest/apachekafka sets it.
const AddressVariable = "MILLRACE_TEST_KAFKA"

// Patience is how long a helper waits for what it was asked for before it fails the test.
const Patience = 30 * time.Second

// minSessionTimeout lets a test use members that are given up after a fraction of a second. Kafka's own bound is 6 s.
const minSessionTimeout = 100 * time.Millisecond

// Options are the settings of [Kafka]. All of them are about the embedded broker.
type Options struct {
	// Brokers is the number of nodes. Default: 1.
	Brokers int
	// Embedded are further settings (authentication, a data directory, …), which an unknown cluster cannot be asked
	// for: a test that sets them is skipped where MILLRACE_TEST_KAFKA is set.
	Embedded []kfake.Opt
}

// Broker is a Kafka cluster that a test may use. Its methods may be called from several goroutines, except that those
// which fail a test must, like [testing.T.FailNow], be called from the goroutine that runs it.
type Broker struct {
	// Addrs are the addresses to start from, each host:port.
	Addrs []string

	embedded *kfake.Cluster
	client   *kgo.Client
}

// Kafka returns the cluster that MILLRACE_TEST_KAFKA names or, where it is not set, a new embedded one on free ports of
// the loopback interface, which ends with the test. Topics are not created by writing to them; group members may ask
// for session time-outs down to 100 ms.
func Kafka(t testing.TB, o *Options) *Broker {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	b := &Broker{}
	if addrs := os.Getenv(AddressVariable); addrs != "" {
		if len(o.Embedded) > 0 {
			t.Skipf("needs an embedded broker with settings of its own; %s=%s is in use", AddressVariable, addrs)
		}
		b.Addrs = strings.Split(addrs, ",")
	} else {
		b.embedded = embed(t, o)
		b.Addrs = b.embedded.ListenAddrs()
	}
	b.client = b.dial(t)
	ctx, cancel := patient(t)
	defer cancel()
	if err := b.client.Ping(ctx); err != nil {
		t.Fatalf("no Kafka answers at %v: %v", b.Addrs, err)
	}
	return b
}

// Embedded returns the embedded cluster, for faults and for a look inside. It skips the test where a real cluster is in
// use.
func (b *Broker) Embedded(t testing.TB) *kfake.Cluster {
	t.Helper()
	if b.embedded == nil {
		t.Skipf("needs the embedded broker's faults; %s=%s is in use", AddressVariable, strings.Join(b.Addrs, ","))
	}
	return b.embedded
}

func embed(t testing.TB, o *Options) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(max(o.Brokers, 1)),
		kfake.GroupMinSessionTimeout(minSessionTimeout),
	}, o.Embedded...)...)
	if err != nil {
		t.Fatalf("start the embedded broker: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// dial returns a client that ends with the test.
func (b *Broker) dial(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addrs...),
		kgo.ClientID("runtimetest"),
		// A topic that was created a moment ago is known at once, and one that is gone is given up soon.
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.UnknownTopicRetries(50),
	}, opts...)...)
	if err != nil {
		t.Fatalf("client for %v: %v", b.Addrs, err)
	}
	t.Cleanup(client.Close)
	return client
}

// patient returns a context that ends with the test or after [Patience].
func patient(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), Patience)
}

// ask calls request until the cluster has answered it: a topic made a moment ago may be unknown for a while, and so may
// a group's coordinator.
func ask(t testing.TB, what string, request func(context.Context) error) {
	t.Helper()
	ctx, cancel := patient(t)
	defer cancel()
	for {
		err := request(ctx)
		if err == nil {
			return
		}
		if !kerr.IsRetriable(err) || ctx.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		pause(t)
	}
}
