package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
)

// Pool runs the processes of one function. A process serves one invocation at a time; more are started while all are
// busy, up to the function's Concurrency. Those that have nothing to do wait for the next invocation, and the one that
// was busy last gets it, as on Lambda. The methods of a pool may be called concurrently.
type Pool struct {
	function Function
	options  Options
	ownAPI   bool
	launcher *launcher
	log      *lines
	close    func() error
	byHand   *worker // of the process that the developer starts; else nil
	// slots holds one for each invocation that has, or is about to have, a process.
	slots   chan struct{}
	closing chan struct{}
	// users are the goroutines that Close waits for.
	users sync.WaitGroup

	mu     sync.Mutex
	closed bool
	live   map[*worker]bool
	idle   []*worker // the last one was busy last
	starts backoff
}

// Start makes a pool. The first process is started by the first invocation.
func Start(f Function, o *Options) (*Pool, error) {
	p := &Pool{function: f.withDefaults(), closing: make(chan struct{}), live: map[*worker]bool{}}
	p.options = o.withDefaults()
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("function %s: %w", f.Name, err)
	}
	if p.options.API == nil {
		api, err := runtimeapi.Start()
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", f.Name, err)
		}
		p.options.API, p.ownAPI = api, true
	}
	p.slots = make(chan struct{}, p.function.Concurrency)
	p.log = &lines{to: p.options.Log}
	p.close = sync.OnceValue(p.shutDown)
	p.launcher = startLauncher()
	if p.function.Bootstrap == "" {
		p.byHand = &worker{session: p.options.API.Open(p.process())}
		p.idle = append(p.idle, p.byHand)
	}
	return p, nil
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	c.InitTimeout = cmp.Or(c.InitTimeout, DefaultInitTimeout)
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Events == nil {
		c.Events = func(Event) {}
	}
	return c
}

func (f Function) withDefaults() Function {
	f.Timeout = cmp.Or(f.Timeout, DefaultTimeout)
	f.MemoryMB = cmp.Or(f.MemoryMB, DefaultMemoryMB)
	f.Concurrency = cmp.Or(f.Concurrency, DefaultConcurrency)
	if f.Bootstrap == "" {
		f.Timeout, f.Concurrency = DebugTimeout, 1
	}
	return f
}

// check finds what no process could start with.
func (p *Pool) check() error {
	if p.options.Freeze && !canFreeze {
		return errors.New("processes cannot be frozen on this operating system")
	}
	switch f := p.function; {
	case f.Name == "":
		return errors.New("it has no name")
	case f.Timeout < 0, f.MemoryMB < 0, f.Concurrency < 0:
		return errors.New("time-out, memory and concurrency cannot be negative")
	case f.Bootstrap == "":
		return nil
	}
	path, err := filepath.Abs(p.function.Bootstrap)
	if err != nil {
		return err
	}
	p.function.Bootstrap = path
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("its bootstrap binary: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("its bootstrap %s is not a file", path)
	}
	return nil
}

// process is what the processes are told through the Runtime API.
func (p *Pool) process() runtimeapi.Process {
	return runtimeapi.Process{
		Function: p.function.Name, Version: version, Handler: handler, ARN: p.arn(), Replaceable: p.function.Bootstrap == "",
	}
}

// Kill kills up to n processes, chosen at random, with their children, and returns how many it killed. Invocations that
// they had end with a [TypeExit] error.
func (p *Pool) Kill(n int) int {
	p.mu.Lock()
	victims := make([]*worker, 0, len(p.live))
	for w := range p.live {
		victims = append(victims, w)
	}
	p.mu.Unlock()
	rand.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	killed := 0
	for _, w := range victims {
		if killed < n && w.kill() {
			killed++
		}
	}
	return killed
}

// Close ends all processes and returns when they and their children are gone. Invocations that run end with [ErrClosed]:
// whoever wants their answers waits for these first. A process that asked for it by an extension gets SIGTERM and half a
// second before it is killed. Calls after the first wait too.
func (p *Pool) Close() error { return p.close() }

func (p *Pool) shutDown() error {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	close(p.closing)
	for _, w := range idle {
		p.users.Go(w.stop)
	}
	p.users.Wait()
	p.launcher.close()
	if p.ownAPI {
		return p.options.API.Close()
	}
	return nil
}

// enter waits for a place among the invocations.
func (p *Pool) enter(ctx context.Context) error {
	if !p.use() {
		return p.errClosed()
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		p.users.Done()
		return p.errEnded(ctx)
	case <-p.closing:
		p.users.Done()
		return p.errClosed()
	}
}

func (p *Pool) leave() {
	<-p.slots
	p.users.Done()
}

// use makes Close wait for one more goroutine, unless it was called.
func (p *Pool) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.users.Add(1)
	return true
}

// newestIdle takes the process that was busy last.
func (p *Pool) newestIdle() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	w := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	if w.retirement != nil {
		w.retirement.Stop()
	}
	return w
}

// release keeps a process for the next invocation.
func (p *Pool) release(w *worker) {
	if p.options.Freeze {
		w.freeze()
	}
	if !p.keep(w) {
		w.stop()
	}
}

// discard ends a process. The developer's own is kept: it can only be waited for.
func (p *Pool) discard(w *worker) {
	if w.byHand() {
		p.release(w)
		return
	}
	w.kill()
	<-w.exited
}

func (p *Pool) keep(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if !w.byHand() {
		if !p.live[w] {
			return true // it ended, and nothing is left to do
		}
		if p.options.IdleTimeout > 0 {
			w.retirement = time.AfterFunc(p.options.IdleTimeout, func() { p.retire(w) })
		}
	}
	p.idle = append(p.idle, w)
	return true
}

// retire ends a process that has had nothing to do for too long.
func (p *Pool) retire(w *worker) {
	if !p.use() {
		return
	}
	defer p.users.Done()
	if p.removeIdle(w) {
		w.stop()
	}
}

func (p *Pool) removeIdle(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.idle, w)
	if i < 0 {
		return false
	}
	p.idle = slices.Delete(p.idle, i, i+1)
	return true
}

// forget is called when a process has ended.
func (p *Pool) forget(w *worker) {
	p.removeIdle(w)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, w)
	if w.retirement != nil {
		w.retirement.Stop()
	}
}

func (p *Pool) errClosed() error { return fmt.Errorf("function %s: %w", p.function.Name, ErrClosed) }

func (p *Pool) errEnded(ctx context.Context) error {
	return fmt.Errorf("function %s: invocation given up: %w", p.function.Name, context.Cause(ctx))
}
