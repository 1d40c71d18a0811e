//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// memberCount is how many processes share the group.
const memberCount = 3

// restartAfter is how long a process that ended by itself is left alone.
const restartAfter = time.Second

// fleet is the members.
type fleet struct {
	// program is run as a member, in an environment of settings.
	program  string
	settings []string
	// dir takes journals and logs.
	dir     string
	members []*member
	work    sync.WaitGroup

	mu        sync.Mutex
	processes []*process
	ending    bool
}

// member is one of the three: a process, and after it ended the next.
type member struct {
	fleet    *fleet
	number   int
	settings []string
	// fault is held by whoever does something to the member.
	fault sync.Mutex

	mu      sync.Mutex
	current *process
}

// process is a member from its start to its end.
type process struct {
	name    string
	command *exec.Cmd
	// parent is the process's standard input: it ends itself when that closes, so that none outlives the run.
	parent   io.Closer
	follower *follower
	// ended is closed with the process; exit and err are set then.
	ended chan struct{}
	exit  time.Duration
	err   error

	mu sync.Mutex
	// ending is the signal by which the process was told to end, 0 before.
	ending syscall.Signal
}

// add starts another member.
func (f *fleet) add(settings ...string) error {
	m := &member{fleet: f, number: len(f.members) + 1, settings: settings}
	f.members = append(f.members, m)
	return m.start()
}

// start starts the member's next process.
func (m *member) start() error {
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending {
		return nil
	}
	p := &process{name: fmt.Sprintf("member-%d.%d", m.number, len(f.processes)+1), ended: make(chan struct{})}
	if err := p.launch(f, m.settings); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	f.processes = append(f.processes, p)
	m.mu.Lock()
	m.current = p
	m.mu.Unlock()
	f.work.Go(func() { m.tend(p) })
	return nil
}

func (p *process) launch(f *fleet, settings []string) error {
	log, err := os.Create(filepath.Join(f.dir, p.name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	name := filepath.Join(f.dir, p.name+".journal")
	j, err := openJournal(name)
	if err != nil {
		return err
	}
	_ = j.file.Close() // it exists now, and can be followed
	if p.follower, err = follow(name); err != nil {
		return err
	}
	p.command = exec.Command(f.program, memberArgument) //nolint:noctx // it ends with its standard input
	p.command.Stderr = log
	p.command.Env = append(append(os.Environ(), f.settings...), settings...)
	p.command.Env = append(p.command.Env, journalVariable+"="+name)
	if p.parent, err = p.command.StdinPipe(); err != nil {
		return err
	}
	return p.command.Start()
}

// tend waits for the end of a process, and starts another one when it was not told to end: so would any supervisor.
func (m *member) tend(p *process) {
	p.err = p.command.Wait()
	p.exit = monotonic()
	_ = p.follower.file.Close()
	close(p.ended)
	if p.told() != 0 {
		return
	}
	time.Sleep(restartAfter)
	if err := m.start(); err != nil {
		p.err = errors.Join(p.err, err)
	}
}

func (m *member) process() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// signal sends a signal to the process, if it still runs.
func (p *process) signal(s syscall.Signal) { _ = p.command.Process.Signal(s) }

// end sends a signal that ends the process, and waits until it has.
func (p *process) end(s syscall.Signal) {
	p.mu.Lock()
	if p.ending == 0 {
		p.ending = s
	}
	p.mu.Unlock()
	p.signal(s)
	select {
	case <-p.ended:
	case <-time.After(endTimeout):
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// endTimeout is how long a process may take to end that was asked to: it drains within less.
const endTimeout = time.Minute

// told returns the signal by which the process was told to end, 0 for one that was not.
func (p *process) told() syscall.Signal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ending
}

// busy tells whether a handler of the process runs.
func (p *process) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.follower.busy()
}

// stop ends every process by a signal, SIGTERM or SIGKILL, and returns when they have.
func (f *fleet) stop(s syscall.Signal) {
	f.mu.Lock()
	f.ending = true
	f.mu.Unlock()
	var ends sync.WaitGroup
	for _, m := range f.members {
		if p := m.process(); p != nil {
			ends.Go(func() { p.end(s) })
		}
	}
	ends.Wait()
	f.work.Wait()
}

// all returns every process that ever was.
func (f *fleet) all() []*process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*process(nil), f.processes...)
}
