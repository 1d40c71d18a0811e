// Package daemon runs the servers of other projects for tests: as a user that they accept, ended with the tests' own
// process, whatever ends that. It imports the standard library only.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// patience is how long a server may take to start, and to end when it is asked to.
const patience = 30 * time.Second

// logTail is how much of a server's log a failure shows, in bytes.
const logTail = 4 << 10

// Daemon is a server's process. It is started and ended by one goroutine at a time.
type Daemon struct {
	// Dir holds the server's data and log.
	Dir string
	// Address is where it listens, host:port.
	Address string
	// Command returns the arguments of the server, the program first.
	Command func() []string
	// Ready reports whether the server answers.
	Ready func(ctx context.Context) error

	process *os.Process
	ended   chan struct{}
}

// New returns a daemon that is not started, with a folder and a port of its own. The folder belongs to the user that
// [Owner] names.
func New(name string) (*Daemon, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	dir, err := os.MkdirTemp("", "millrace-"+name+"-")
	if err != nil {
		return nil, err
	}
	if err := give(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Daemon{Dir: dir, Address: listener.Addr().String()}, nil
}

// Run runs a program to its end, as the user that owns the folder.
func (d *Daemon) Run(program string, arguments ...string) error {
	command := exec.Command(program, arguments...) //nolint:noctx // it ends by itself, in seconds
	command.Dir = d.Dir
	command.SysProcAttr = attributes()
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, output)
	}
	return nil
}

// Start starts the server and waits until it answers.
func (d *Daemon) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if err := d.launch(); err != nil {
			return err
		}
		err := d.answers(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// It ended at once: what a killed predecessor left behind may not be gone yet.
	}
}

func (d *Daemon) launch() error {
	log, err := os.OpenFile(filepath.Join(d.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	arguments := d.Command()
	command := exec.Command(arguments[0], arguments[1:]...) //nolint:noctx // it lives until Stop
	command.Dir, command.Stdout, command.Stderr, command.SysProcAttr = d.Dir, log, log, attributes()
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The kernel ends the server when the thread that started it does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // how it ended shows in its log
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	d.process, d.ended = command.Process, ended
	return nil
}

// answers waits until the server is ready, or returns why it is not.
func (d *Daemon) answers(ctx context.Context) error {
	for {
		err := d.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("the server has ended:\n%s", d.log())
		case <-ctx.Done():
			return fmt.Errorf("the server at %s does not answer: %w\n%s", d.Address, err, d.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *Daemon) log() []byte {
	content, err := os.ReadFile(filepath.Join(d.Dir, "log"))
	if err != nil {
		return []byte(err.Error())
	}
	return content[max(0, len(content)-logTail):]
}

// Kill ends the server at once, with the processes that it has started, as a crash of its machine does.
func (d *Daemon) Kill() {
	if d.process == nil {
		return
	}
	crash(d.process)
	<-d.ended
}

// Stop ends the server and removes its data.
func (d *Daemon) Stop() {
	if d.process != nil {
		_ = d.process.Signal(os.Interrupt) // what it cannot be told is followed by Kill
		select {
		case <-d.ended:
		case <-time.After(patience):
		}
		d.Kill()
	}
	_ = os.RemoveAll(d.Dir) // what is left lies in the system's folder for temporary files
}

// Check fails the test when err is not nil.
func Check(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
