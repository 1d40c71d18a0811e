package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// dialTimeout bounds the attempt to reach the broker for a connection that was accepted.
const dialTimeout = 5 * time.Second

// Proxy carries connections to one broker. Its methods may be called from several goroutines.
type Proxy struct {
	upstream string
	listener net.Listener
	// ctx ends with the proxy.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu          sync.Mutex
	connections map[*connection]bool
	delay       time.Duration
	holds       []*Held
	watches     []*watch
	// stops counts the calls of HalfOpen that are not restored. flow is closed while there are none.
	stops int
	flow  chan struct{}
}

// Listen opens a proxy on addr, host:port (port 0 chooses one), to the broker at upstream. A broker that cannot be
// reached is no error: connections are then closed as soon as they are accepted, as those of a broker that restarts. The
// caller must close the proxy.
func Listen(addr, upstream string) (*Proxy, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", upstream, err)
	}
	p := &Proxy{
		upstream:    upstream,
		listener:    listener,
		connections: map[*connection]bool{},
		flow:        make(chan struct{}),
	}
	close(p.flow)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	return p, nil
}

// Addr returns the address to dial, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy with all of its connections. Requests that are held are dropped. It returns when nothing of the
// proxy runs any more.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	for _, c := range p.all() {
		c.close()
	}
	p.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Cut closes every connection on both sides and returns how many there were. What was on its way in them is lost. New
// connections are accepted. A request that is held stays so: it is somewhere in the network.
func (p *Proxy) Cut() int {
	cut := 0
	for _, c := range p.all() {
		if c.held.Load() == nil {
			c.close()
			cut++
		}
	}
	return cut
}

// Delay makes each request that comes from now on arrive d later, in its order; 0 ends that. Answers are not delayed, so
// that d is added to a round trip once.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// HalfOpen stops everything that flows, in both directions and in every connection, without closing any: requests and
// answers wait, new connections are accepted, and neither side learns that the other has closed. restore lets it flow
// again: what waited is delivered late, also what came from clients that have gone away since. Where HalfOpen was called
// several times, each restore must be called.
func (p *Proxy) HalfOpen() (restore func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stops++; p.stops == 1 {
		p.flow = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.stops--; p.stops == 0 {
			close(p.flow)
		}
	})
}

// Connections returns how many connections there are, those of held requests not counted.
func (p *Proxy) Connections() int {
	return len(slices.DeleteFunc(p.all(), func(c *connection) bool { return c.held.Load() != nil }))
}

func (p *Proxy) all() []*connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*connection, 0, len(p.connections))
	for c := range p.connections {
		all = append(all, c)
	}
	return all
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, most likely: some may be free soon.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		p.work.Go(func() { p.serve(client) })
	}
}

// serve carries one connection until it ends.
func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(p.ctx, "tcp", p.upstream)
	if err != nil {
		return
	}
	c := newConnection(p, client, server)
	defer c.close()
	p.mu.Lock()
	p.connections[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.connections, c)
	}()
	if p.ctx.Err() != nil {
		return // Close did not see this one
	}
	c.carry()
}

// flowing returns a channel that is closed while requests and answers may pass.
func (p *Proxy) flowing() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flow
}

// due returns when a request that comes now is to arrive.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}
