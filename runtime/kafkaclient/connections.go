package kafkaclient

import (
	"context"
	"net"
	"sync"

	"github.com/IBM/sarama"
)

// Connections are those of a client, which can be cut: sarama's requests take no context, and closing a broker waits for
// the answers that are due. Its methods may be called concurrently.
type Connections struct {
	mu   sync.Mutex
	open map[*observedConn]struct{}
}

// NewConnections returns Connections without any.
func NewConnections() *Connections { return &Connections{open: map[*observedConn]struct{}{}} }

// Observe has clients with the settings conf use c.
func (c *Connections) Observe(conf *sarama.Config) {
	var d interface {
		Dial(network, addr string) (net.Conn, error)
	} = &net.Dialer{Timeout: conf.Net.DialTimeout, KeepAlive: conf.Net.KeepAlive}
	if conf.Net.Proxy.Enable {
		d = conf.Net.Proxy.Dialer
	}
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, &observedDialer{dialer: d, connections: c}
}

// Cut closes what is open. The client connects again when it is used.
func (c *Connections) Cut() {
	c.mu.Lock()
	open := c.open
	c.open = map[*observedConn]struct{}{}
	c.mu.Unlock()
	for conn := range open {
		conn.Conn.Close()
	}
}

// CutAtEndOf cuts the connections when ctx ends, until the function that it returns is called, which waits for a cut
// under way.
func (c *Connections) CutAtEndOf(ctx context.Context) (stop func()) {
	cut := make(chan struct{})
	after := context.AfterFunc(ctx, func() {
		defer close(cut)
		c.Cut()
	})
	return func() {
		if !after() {
			<-cut
		}
	}
}

type observedDialer struct {
	dialer interface {
		Dial(network, addr string) (net.Conn, error)
	}
	connections *Connections
}

// Dial opens a connection and remembers it.
func (d *observedDialer) Dial(network, addr string) (net.Conn, error) {
	conn, err := d.dialer.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	observed := &observedConn{Conn: conn, connections: d.connections}
	d.connections.mu.Lock()
	defer d.connections.mu.Unlock()
	d.connections.open[observed] = struct{}{}
	return observed, nil
}

type observedConn struct {
	net.Conn
	connections *Connections
}

// Close closes the connection and forgets it.
func (c *observedConn) Close() error {
	c.connections.mu.Lock()
	delete(c.connections.open, c)
	c.connections.mu.Unlock()
	return c.Conn.Close()
}
