package lanes

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how long the pool watches its workers before it decides whether more of them would help.
	patience = 200 * time.Microsecond
	// busy is how many items a worker finishes in that time if it never has to wait: fewer mean that workers wait for
	// something other than a processor.
	busy = 10
	// yields is how many times the pool's limit of workers may have yielded: each holds a stack.
	yields = 4
	// much is how many lanes must be ready for a second worker to start at once: items that wait for nothing are through
	// fewer before another processor has woken up.
	much = 64
)

// Pool is a bounded number of workers, shared by several Lanes. Workers start when there is work and end when there is
// none. It is safe for concurrent use.
type Pool struct {
	// One worker starts at once, up to eager when there is much to do or when some have yielded; more, up to limit, while those wait
	// for something.
	limit, eager int

	mu       sync.Mutex
	ready    []runnable
	head     int
	running  int
	starting bool
	// watch is set while the pool watches its workers, finished counts the items since it began to.
	watch    *time.Timer
	finished int
	// yielded counts the workers that gave their place away.
	yielded int
	// crowded says that more than limit run, because some came back. It is written with the pool locked.
	crowded atomic.Bool
}

// NewPool returns a pool of at most limit workers (at least 1).
func NewPool(limit int) *Pool {
	limit = max(limit, 1)
	return &Pool{limit: limit, eager: min(max(runtime.GOMAXPROCS(0)/2, 1), limit)}
}

// Yield gives the place of the calling worker to another one, while the item that it runs waits for something that takes
// no handler, such as an acknowledgement. resume must be called once when it has waited. When four times the pool's limit
// wait so, Yield does nothing.
func (p *Pool) Yield() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.yielded >= yields*p.limit {
		return func() {}
	}
	p.yielded++
	p.running--
	p.grow()
	return p.resume
}

// resume takes back a worker that had yielded. Where its place was taken it only ends the item that it runs.
func (p *Pool) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.yielded--
	p.running++
	p.crowded.Store(p.running > p.limit)
}

// leave takes note of a worker that ends. The pool is locked.
func (p *Pool) leave() {
	p.running--
	p.crowded.Store(p.running > p.limit)
	if p.running == 0 && p.watch != nil && p.watch.Stop() {
		p.watch = nil
	}
}

// runnable is a lane that has something to run. It is an interface because lanes of any type share one pool.
type runnable interface {
	// begin is called with the pool locked; false means that there is nothing to run.
	begin() bool
	// run is called without the lock.
	run()
	// end is called with the pool locked. It tells how many items were finished, and whether the lane has more to run.
	end() (finished int, more bool)
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

// grow starts a worker where one more may help. The pool is locked.
//
// Eager workers start one after the other, each when the one before has taken its first lane. They leave processors to
// others: where every processor is busy with items, Go looks for data from the network only every 10 ms, and the client
// that fetches the next items starves.
func (p *Pool) grow() {
	switch {
	case p.head == len(p.ready) || p.running == p.limit || p.starting:
	case p.running == 0, p.running < p.eager && (p.yielded > 0 || len(p.ready)-p.head > much):
		p.starting = true
		p.start()
	case p.watch == nil:
		p.watch, p.finished = time.AfterFunc(patience, p.look), 0
	}
}

// start starts a worker. The pool is locked.
func (p *Pool) start() {
	p.running++
	go p.work()
}

// look doubles the workers when those that run wait for something.
func (p *Pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch = nil
	if p.finished < busy*p.running {
		for range min(p.running, p.limit-p.running, len(p.ready)-p.head) {
			p.start()
		}
	}
	p.grow()
}

func (p *Pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting = false
	for {
		l, ok := p.pop()
		if !ok {
			p.leave()
			return
		}
		if !l.begin() {
			continue
		}
		p.grow()
		p.mu.Unlock()
		l.run()
		p.mu.Lock()
		finished, more := l.end()
		p.finished += finished
		if more {
			p.push(l)
		}
		if p.running > p.limit {
			p.leave()
			return
		}
	}
}
