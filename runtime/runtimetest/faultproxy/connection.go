package faultproxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// queueLength is how many requests of a connection may be on their way; further ones wait in the client's socket.
const queueLength = 256

// connection is a client's connection and the one to the broker that carries it on.
type connection struct {
	proxy          *Proxy
	client, server net.Conn
	queue          chan transit
	// held is the request that was taken out, if one was: the client's side is closed then, and the broker's lives on
	// until the request is answered.
	held atomic.Pointer[Held]
	// ended is closed with the connection.
	ended chan struct{}
	close func()
}

// transit is a request on its way.
type transit struct {
	request

	due time.Time
	// held is who took the request, if somebody did.
	held *Held
}

func newConnection(p *Proxy, client, server net.Conn) *connection {
	c := &connection{
		proxy:  p,
		client: client,
		server: server,
		queue:  make(chan transit, queueLength),
		ended:  make(chan struct{}),
	}
	c.close = sync.OnceFunc(func() {
		close(c.ended)
		_ = client.Close()
		_ = server.Close()
	})
	return c
}

func (c *connection) carry() {
	var work sync.WaitGroup
	work.Go(c.receive)
	work.Go(c.deliver)
	work.Go(c.answer)
	work.Wait()
}

// receive queues what the client sends, until it ends or one of its requests is taken.
func (c *connection) receive() {
	defer close(c.queue)
	for {
		r, err := readRequest(c.client)
		if err != nil {
			return
		}
		c.proxy.asked(c, r)
		t := transit{request: r, due: c.proxy.due(), held: c.proxy.take(c, r)}
		if t.held != nil {
			_ = c.client.Close()
			close(t.held.taken)
		}
		select {
		case c.queue <- t:
		case <-c.ended:
			return
		}
		if t.held != nil {
			return
		}
	}
}

// deliver writes what is queued when it is due. A client that has gone away does not undo what it sent.
func (c *connection) deliver() {
	for t := range c.queue {
		if !c.wait(t) {
			return
		}
		if _, err := c.server.Write(t.frame); err != nil {
			c.close()
			return
		}
	}
	if c.held.Load() == nil {
		c.close()
	}
}

// wait returns when t may be written, or false when the connection has ended.
func (c *connection) wait(t transit) bool {
	if t.held != nil {
		select {
		case <-t.held.release:
		case <-c.ended:
			return false
		}
	}
	timer := time.NewTimer(time.Until(t.due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ended:
		return false
	}
	return c.pass()
}

// pass returns when the proxy lets things flow, or false when the connection has ended.
func (c *connection) pass() bool {
	select {
	case <-c.proxy.flowing():
		return true
	case <-c.ended:
		return false
	}
}

// answer passes the broker's answers on, until the broker closes the connection or a held request is answered.
func (c *connection) answer() {
	defer c.close()
	// A client does not learn from a half-open connection that the broker closed it.
	defer c.pass()
	for {
		a, err := readAnswer(c.server)
		if err != nil || !c.pass() {
			return
		}
		c.proxy.answered(c, a)
		if _, err := c.Write(a.head); err != nil {
			return
		}
		if _, err := io.CopyN(c, c.server, a.rest); err != nil {
			return
		}
		if h := c.held.Load(); h != nil && h.request.correlation == a.correlation {
			close(h.answered)
			return
		}
	}
}

// Write passes bytes on to the client, or nowhere when its side was closed to hold a request.
func (c *connection) Write(b []byte) (int, error) {
	n, err := c.client.Write(b)
	if err != nil && c.held.Load() != nil {
		return len(b), nil
	}
	return n, err
}
