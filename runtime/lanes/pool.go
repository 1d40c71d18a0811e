package lanes

import "sync"

// Pool is a bounded number of workers, shared by several Lanes. Workers start when there is work and end when there is
// none. It is safe for concurrent use.
type Pool struct {
	limit int

	mu       sync.Mutex
	ready    []runnable
	head     int
	running  int
	starting bool
}

// NewPool returns a pool of at most limit workers (at least 1).
func NewPool(limit int) *Pool { return &Pool{limit: max(limit, 1)} }

// runnable is a lane that has something to run. It is an interface because lanes of any type share one pool.
type runnable interface {
	// begin is called with the pool locked; false means that there is nothing to run.
	begin() bool
	// run is called without the lock.
	run()
	// end is called with the pool locked; true means that the lane has more to run.
	end() bool
}

// push makes a lane ready. The pool is locked.
func (p *Pool) push(l runnable) {
	if p.head > len(p.ready)/2 {
		n := copy(p.ready, p.ready[p.head:])
		clear(p.ready[n:])
		p.ready, p.head = p.ready[:n], 0
	}
	p.ready = append(p.ready, l)
	p.grow()
}

// pop takes the lane that has been ready for longest. The pool is locked.
func (p *Pool) pop() (runnable, bool) {
	if p.head == len(p.ready) {
		return nil, false
	}
	l := p.ready[p.head]
	p.ready[p.head] = nil
	p.head++
	return l, true
}

// grow starts a worker where one more may help. Workers start one after the other, each when the one before has taken
// its first lane: items that run in no time never start more workers than there are processors to run them.
func (p *Pool) grow() {
	if !p.starting && p.head < len(p.ready) && p.running < p.limit {
		p.starting = true
		p.running++
		go p.work()
	}
}

func (p *Pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting = false
	for {
		l, ok := p.pop()
		if !ok {
			p.running--
			return
		}
		if !l.begin() {
			continue
		}
		p.grow()
		p.mu.Unlock()
		l.run()
		p.mu.Lock()
		if l.end() {
			p.push(l)
		}
	}
}
