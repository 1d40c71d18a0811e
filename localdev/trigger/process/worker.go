package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
)

// termGrace is the time that Lambda gives a process with an extension of its own between SIGTERM and SIGKILL.
const termGrace = 500 * time.Millisecond

// exitedSilently is Lambda's word for an exit without an error.
const exitedSilently = "Runtime exited without providing a reason"

// worker is one process, or the place of one that is started by hand.
type worker struct {
	session    *runtimeapi.Session
	retirement *time.Timer // guarded by the pool's lock

	// The rest is of processes that the pool started.
	command *exec.Cmd
	output  *output
	reason  string        // why it ended; set when exited is closed
	exited  chan struct{} // closed when the process and its children are gone

	// frozen is for whoever has the worker: an invocation, or the one that ends it.
	frozen bool

	mu     sync.Mutex
	doomed bool // it was killed, and gets no invocation any more
	gone   bool // there is nobody to be sent a signal
}

// start starts a process, from the thread of the launcher.
func (p *Pool) start() (*worker, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w := &worker{session: p.options.API.Open(p.process()), exited: make(chan struct{})}
	w.command = exec.CommandContext(context.Background(), p.function.Bootstrap)
	w.command.Dir = filepath.Dir(p.function.Bootstrap)
	w.command.Env = p.processEnvironment(w.session.Address())
	w.command.Stdout, w.command.Stderr = write, write
	separate(w.command)
	err = p.launcher.start(w.command)
	_ = write.Close() // the process has its own
	if err != nil {
		_ = read.Close()
		w.session.Close()
		return nil, err
	}
	w.output = copyOutput(read, p.log)
	p.mu.Lock()
	p.live[w] = true
	p.mu.Unlock()
	p.users.Go(func() { w.wait(p.forget) })
	return w, nil
}

// wait waits for the end of a process, and then ends its children.
func (w *worker) wait(ended func(*worker)) {
	err := w.command.Wait()
	w.mu.Lock()
	w.gone = true
	_ = killGroup(w.pid()) // most often there is no child
	w.mu.Unlock()
	w.output.finish()
	w.session.Close()
	w.reason = exitedSilently
	if err != nil {
		w.reason = fmt.Sprintf("Runtime exited with error: %v", err)
	}
	ended(w)
	close(w.exited)
}

func (w *worker) byHand() bool { return w.command == nil }

func (w *worker) pid() int {
	if w.byHand() {
		return 0
	}
	return w.command.Process.Pid
}

// lastLines are what a process wrote before it ended.
func (w *worker) lastLines() string {
	if w.byHand() {
		return ""
	}
	return w.output.last()
}

// kill kills a process and its children. It tells whether the process was there.
func (w *worker) kill() bool {
	return w.signal(func(pid int) error {
		w.doomed = true
		return killGroup(pid)
	})
}

// freeze stops a process until thaw, as Lambda does between invocations.
func (w *worker) freeze() { w.frozen = w.signal(freezeGroup) }

// thaw lets a frozen process go on. It tells whether the process is there to take an invocation.
func (w *worker) thaw() bool {
	return w.byHand() || w.signal(func(pid int) error {
		if !w.frozen {
			return nil
		}
		w.frozen = false
		return thawGroup(pid)
	})
}

// signal sends something to a process unless it has ended or is about to. The lock keeps its number from being another
// one's by then.
func (w *worker) signal(send func(pid int) error) bool {
	if w.byHand() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.gone && !w.doomed && send(w.pid()) == nil
}

// stop ends a process that has nothing to do, and returns when it is gone.
func (w *worker) stop() {
	if w.byHand() {
		w.session.Close()
		return
	}
	if w.session.Extension() && w.thaw() && w.signal(terminate) {
		select {
		case <-w.exited:
		case <-time.After(termGrace):
		}
	}
	w.kill()
	<-w.exited
}
