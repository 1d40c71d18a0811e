package kafkasink

import (
	"context"
	"net"
	"sync"

	"github.com/IBM/sarama"
)

// connections are those of a client, which can be cut: sarama's requests take no context, and closing a broker waits for
// the answers that are due.
type connections struct {
	mu   sync.Mutex
	open map[*connection]struct{}
}

func newConnections() *connections { return &connections{open: map[*connection]struct{}{}} }

// observe has clients with the settings conf use c.
func (c *connections) observe(conf *sarama.Config) {
	var d interface {
		Dial(network, addr string) (net.Conn, error)
	} = &net.Dialer{Timeout: conf.Net.DialTimeout, KeepAlive: conf.Net.KeepAlive}
	if conf.Net.Proxy.Enable {
		d = conf.Net.Proxy.Dialer
	}
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, &observedDialer{dialer: d, connections: c}
}

// cut closes what is open. The client connects again when it is used.
func (c *connections) cut() {
	c.mu.Lock()
	open := c.open
	c.open = map[*connection]struct{}{}
	c.mu.Unlock()
	for conn := range open {
		conn.Conn.Close()
	}
}

// cutAtEndOf cuts the connections when ctx ends, until the function that it returns is called, which waits for a cut
// under way.
func (c *connections) cutAtEndOf(ctx context.Context) (stop func()) {
	cut := make(chan struct{})
	after := context.AfterFunc(ctx, func() {
		defer close(cut)
		c.cut()
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
	connections *connections
}

// Dial opens a connection and remembers it.
func (d *observedDialer) Dial(network, addr string) (net.Conn, error) {
	conn, err := d.dialer.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	observed := &connection{Conn: conn, connections: d.connections}
	d.connections.mu.Lock()
	defer d.connections.mu.Unlock()
	d.connections.open[observed] = struct{}{}
	return observed, nil
}

type connection struct {
	net.Conn
	connections *connections
}

// Close closes the connection and forgets it.
func (c *connection) Close() error {
	c.connections.mu.Lock()
	delete(c.connections.open, c)
	c.connections.mu.Unlock()
	return c.Conn.Close()
}
