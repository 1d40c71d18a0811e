package mailer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// pool keeps a bounded number of connections, the unused ones for a while.
type pool struct {
	dial    func(context.Context) (*connection, error)
	maxIdle time.Duration
	// taken holds one token per connection in use.
	taken chan struct{}

	mu sync.Mutex
	// idle holds unused connections, the longest unused first.
	idle []*connection
	// sweep closes idle connections; nil while there are none.
	sweep *time.Timer
}

func newPool(size int, maxIdle time.Duration, dial func(context.Context) (*connection, error)) *pool {
	return &pool{dial: dial, maxIdle: maxIdle, taken: make(chan struct{}, size)}
}

// get returns a connection for one mail, to be given back with put.
func (p *pool) get(ctx context.Context) (*connection, error) {
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	if c := p.pop(); c != nil {
		return c, nil
	}
	c, err := p.dial(ctx)
	if err != nil {
		<-p.taken
		return nil, err
	}
	return c, nil
}

// take waits for a token, a third of the time that ctx leaves: a mail that is begun is to be finished.
func (p *pool) take(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		patient, cancel := context.WithTimeout(ctx, time.Until(deadline)/3)
		defer cancel()
		ctx = patient
	}
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("all %d SMTP connections are in use: %w", cap(p.taken), ctx.Err())
	}
}

// pop takes the connection that was used last, nil if there is none.
func (p *pool) pop() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// put gives a connection back. A broken one is closed.
func (p *pool) put(c *connection) {
	defer func() { <-p.taken }()
	if c.broken {
		_ = c.conn.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.idleSince = time.Now()
	p.idle = append(p.idle, c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.maxIdle, p.closeIdle)
	}
}

// closeIdle closes the connections that were unused for too long and comes back for the others.
func (p *pool) closeIdle() {
	for _, c := range p.expired() {
		c.close()
	}
}

func (p *pool) expired() []*connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, limit := 0, time.Now().Add(-p.maxIdle)
	for n < len(p.idle) && !p.idle[n].idleSince.After(limit) {
		n++
	}
	old := p.idle[:n:n]
	p.idle = slices.Clone(p.idle[n:])
	p.sweep = nil
	if len(p.idle) > 0 {
		p.sweep = time.AfterFunc(time.Until(p.idle[0].idleSince.Add(p.maxIdle)), p.closeIdle)
	}
	return old
}
