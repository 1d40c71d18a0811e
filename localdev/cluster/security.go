package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// settings says in franz-go's words how config reaches a cluster. TLS, its files and the rule against credentials in
// clear text are taken over from the settings that the runtime's own clients get.
func settings(config kafkaclient.Config) ([]kgo.Opt, error) {
	runtimes, err := config.Sarama(clientID)
	if err != nil {
		return nil, err
	}
	d := dialer{dial: (&net.Dialer{Timeout: patience}).DialContext}
	if runtimes.Net.Proxy.Enable {
		d.dial = func(_ context.Context, network, addr string) (net.Conn, error) {
			return runtimes.Net.Proxy.Dialer.Dial(network, addr)
		}
	}
	if runtimes.Net.TLS.Enable {
		d.tls = runtimes.Net.TLS.Config
	}
	opts := []kgo.Opt{kgo.Dialer(d.DialContext)}
	if runtimes.Net.SASL.Enable {
		mechanism, err := mechanism(string(runtimes.Net.SASL.Mechanism), runtimes.Net.SASL.User, runtimes.Net.SASL.Password)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

func mechanism(name, user, password string) (sasl.Mechanism, error) {
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("KAFKA_SASL_MECHANISM %q is not supported here", name)
}

// dialer connects, and speaks TLS where it is asked to.
type dialer struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	tls  *tls.Config
}

// DialContext is what [kgo.Dialer] wants.
func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, addr)
	if err != nil || d.tls == nil {
		return conn, err
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}
