//go:build unix

package main

import (
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest/apachekafka/broker"
	"github.com/millrace/millrace/runtime/runtimetest/faultproxy"
)

// partitions is how many the topics of events and outputs have.
const partitions = 3

// cluster is a broker of the run's own, with a proxy before it for each member.
type cluster struct {
	addr string
	// proxies are those of the members. The embedded broker has one for all of them.
	proxies []*faultproxy.Proxy
	// apache is nil for the embedded broker, which cannot be restarted.
	apache *broker.Broker
	embed  *kfake.Cluster
}

// startApache starts an Apache Kafka.
func startApache(ctx context.Context, dir string, p progress) (*cluster, error) {
	addresses, err := broker.FreeAddresses(memberCount)
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	var listeners []broker.Listener
	for _, address := range addresses {
		proxy, err := faultproxy.Listen("127.0.0.1:0", address)
		if err != nil {
			c.close()
			return nil, err
		}
		c.proxies = append(c.proxies, proxy)
		listeners = append(listeners, broker.Listener{Address: address, Advertised: proxy.Addr()})
	}
	c.apache, err = broker.Start(ctx, &broker.Options{Dir: dir, Listeners: listeners, Progress: p.sayf})
	if err != nil {
		c.close()
		return nil, err
	}
	c.addr = c.apache.Addr()
	return c, nil
}

// startEmbedded starts an embedded broker that tells every client to come by way of the proxy.
func startEmbedded() (*cluster, error) {
	c := &cluster{}
	embed, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		listener, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		c.addr = listener.Addr().String()
		proxy, err := faultproxy.Listen("127.0.0.1:0", c.addr)
		if err != nil {
			return nil, err
		}
		for range memberCount {
			c.proxies = append(c.proxies, proxy)
		}
		return advertised{listener, proxy}, nil
	}))
	if err != nil {
		c.close()
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	c.embed = embed
	return c, nil
}

// advertised is a listener that claims to be the proxy.
type advertised struct {
	net.Listener

	proxy *faultproxy.Proxy
}

func (a advertised) Addr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", a.proxy.Addr())
	if err != nil {
		return a.Listener.Addr()
	}
	return addr
}

// client returns a client that comes past the proxies.
func (c *cluster) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts,
		kgo.SeedBrokers(c.addr),
		kgo.ClientID("soak"),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.addr)
		}),
	)...)
}

// createTopics makes what the run needs.
func (c *cluster) createTopics(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for topic, n := range map[string]int32{inputTopic: partitions, outputTopic: partitions, letterTopic: 1} {
		if _, err := admin.CreateTopic(ctx, n, 1, nil, topic); err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}

func (c *cluster) close() {
	for _, p := range c.proxies {
		_ = p.Close()
	}
	if c.apache != nil {
		c.apache.Close()
	}
	if c.embed != nil {
		c.embed.Close()
	}
}
