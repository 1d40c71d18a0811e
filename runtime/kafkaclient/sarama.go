package kafkaclient

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

// The time-outs of every client.
const (
	// dialTimeout bounds one connection attempt.
	dialTimeout = 4 * time.Second
	// metadataTimeout bounds the search for a broker that answers.
	metadataTimeout = 5 * time.Second
	// metadataAge is how long a client may not know of new partitions, as in the Java client.
	metadataAge = 5 * time.Minute
)

// Sarama returns the settings that every client starts from: clientID names it in the broker's logs, quotas and
// metrics. It reads the files that c names. Topics are never created by using them. The result is the caller's, who may
// change it; it holds the password and must not be logged.
func (c Config) Sarama(clientID string) (*sarama.Config, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	limitBatches()
	conf := sarama.NewConfig()
	conf.ClientID = clientID
	// A cap: each request is negotiated down to what the broker speaks.
	conf.Version = sarama.MaxVersion
	conf.Metadata.Full = false
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Metadata.Timeout = metadataTimeout
	conf.Metadata.RefreshFrequency = metadataAge
	conf.Net.DialTimeout = dialTimeout
	if err := c.setTLS(conf); err != nil {
		return nil, err
	}
	c.setSASL(conf)
	if c.Dial != nil {
		conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, dialer(c.Dial)
	}
	if c.Connections != nil {
		c.Connections.Observe(conf)
	}
	return conf, nil
}

// limitBatches makes sarama refuse batches of more than ClientBatchBytes: without a limit 33 KB can take 4.6 GB. The limit
// is one for the process, and sarama reads it without a lock, so it is set once, to a constant, before the first client
// can be made of a Config. It holds for all sarama consumers of the process.
var limitBatches = sync.OnceFunc(func() { sarama.MaxDecompressedBatchSize = ClientBatchBytes })

// dialer is a function as sarama wants it.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial opens a connection within dialTimeout.
func (d dialer) Dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	return d(ctx, network, addr)
}

func (c Config) setSASL(conf *sarama.Config) {
	if c.SASLMechanism == "" {
		return
	}
	sasl := &conf.Net.SASL
	sasl.Enable = true
	if c.SASLMechanism == mechanismIAM {
		c.IAM.set(conf)
	} else {
		sasl.Mechanism = sarama.SASLMechanism(c.SASLMechanism)
		sasl.User = c.SASLUsername
		sasl.Password = c.SASLPassword.Reveal()
		sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{mechanism: c.SASLMechanism} }
	}
	if !c.TLS && !c.SASLAllowPlaintext {
		conf.Net.Proxy.Enable = true
		conf.Net.Proxy.Dialer = &net.Dialer{Timeout: dialTimeout, ControlContext: refuseRemote}
	}
}

// refuseRemote keeps credentials in clear text on this machine, also when a broker on the loopback interface names
// brokers elsewhere.
func refuseRemote(_ context.Context, _, addr string, _ syscall.RawConn) error {
	if !isRemote(addr) {
		return nil
	}
	return fmt.Errorf("%s: SASL without TLS is for the loopback interface only: set KAFKA_TLS=true, or KAFKA_SASL_ALLOW_PLAINTEXT=true", addr)
}
