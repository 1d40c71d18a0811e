package faultproxy

import (
	"context"
	"errors"
	"slices"
)

// The ways in which [Held.Release] delivers nothing.
var (
	// ErrNothingHeld: no request had matched yet, and none will be taken any more.
	ErrNothingHeld = errors.New("no request was held")
	// ErrLost: the broker closed the connection, or the proxy was closed, before the request was answered.
	ErrLost = errors.New("the held request was lost with its connection")
)

// Held is a request on its way from [Proxy.Hold] to [Held.Release].
type Held struct {
	proxy      *Proxy
	match      func(apiKey int16) bool
	connection *connection
	request    request
	// taken, release and answered are closed when that has happened.
	taken, release, answered chan struct{}
}

// Hold takes the next request whose API key match accepts out of its connection, and closes the client's side of it:
// the client sees a connection that broke before its request was answered. The broker's side stays open, without the
// request, until [Held.Release], which the caller must call. What the client had sent before still arrives.
func (p *Proxy) Hold(match func(apiKey int16) bool) *Held {
	h := &Held{
		proxy:    p,
		match:    match,
		taken:    make(chan struct{}),
		release:  make(chan struct{}),
		answered: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = append(p.holds, h)
	return h
}

// Keys returns a match for [Proxy.Hold] that accepts any of the API keys: 0 is Produce, 8 OffsetCommit, 12 Heartbeat, 26
// EndTxn, 28 TxnOffsetCommit.
func Keys(apiKeys ...int16) func(apiKey int16) bool {
	return func(apiKey int16) bool { return slices.Contains(apiKeys, apiKey) }
}

// take returns who holds the request r of c, nil for nobody.
func (p *Proxy) take(c *connection, r request) *Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, h := range p.holds {
		if h.match(r.apiKey) {
			p.holds = slices.Delete(p.holds, i, i+1)
			h.connection, h.request = c, r
			c.held.Store(h)
			return h
		}
	}
	return nil
}

// Taken is closed when a request was taken and its client has lost the connection.
func (h *Held) Taken() <-chan struct{} { return h.taken }

// APIKey returns the request's API key. It may be called when [Held.Taken] is closed.
func (h *Held) APIKey() int16 { return h.request.apiKey }

// Release delivers the request on its old connection and waits until the broker has answered it or ctx ends. The answer
// goes nowhere. Without a request it ends the wait for one and returns [ErrNothingHeld]. It must be called once.
func (h *Held) Release(ctx context.Context) error {
	if h.withdraw() {
		return ErrNothingHeld
	}
	close(h.release)
	select {
	case <-h.answered:
		return nil
	case <-h.connection.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// The connection ends with the answer.
	select {
	case <-h.answered:
		return nil
	default:
		return ErrLost
	}
}

// withdraw ends the wait for a request, and tells whether it was still going on.
func (h *Held) withdraw() bool {
	h.proxy.mu.Lock()
	defer h.proxy.mu.Unlock()
	before := len(h.proxy.holds)
	h.proxy.holds = slices.DeleteFunc(h.proxy.holds, func(other *Held) bool { return other == h })
	return len(h.proxy.holds) < before
}
