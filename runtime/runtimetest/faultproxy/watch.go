package faultproxy

import "slices"

// watch waits for the answer to a request.
type watch struct {
	match    func(apiKey int16) bool
	asked    map[exchange]bool
	answered chan struct{}
}

// exchange is a request and its answer.
type exchange struct {
	connection  *connection
	correlation int32
}

// Answered returns a channel that is closed when the broker has answered a request that came after the call and whose API
// key match accepts, however it answered.
func (p *Proxy) Answered(match func(apiKey int16) bool) <-chan struct{} {
	w := &watch{match: match, asked: map[exchange]bool{}, answered: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watches = append(p.watches, w)
	return w.answered
}

// asked tells the watches of a request that has come.
func (p *Proxy) asked(c *connection, r request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		if w.match(r.apiKey) {
			w.asked[exchange{c, r.correlation}] = true
		}
	}
}

// answered tells the watches of an answer that has come.
func (p *Proxy) answered(c *connection, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watches = slices.DeleteFunc(p.watches, func(w *watch) bool {
		answered := w.asked[exchange{c, a.correlation}]
		if answered {
			close(w.answered)
		}
		return answered
	})
}
