package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace/millrace/runtime/function"
)

// childVariable tells the test binary that it is a child, and which.
const childVariable = "MILLRACE_CONFORMANCE_CHILD"

// childProgram is what a child is told of itself.
type childProgram struct {
	Door      string     `json:"door"`
	Process   int        `json:"process"`
	Functions []Function `json:"functions"`
	// Parent is where the case listens, host:port.
	Parent string `json:"parent"`
}

// spawn runs the program in a child, which ends at the latest with t, and waits until it has joined.
func (s *stage) spawn(t *testing.T) *process {
	t.Helper()
	if s.door.Start != nil {
		return s.startThrough(t)
	}
	p, variables := s.prepare(t)
	ctx, cancel := context.WithCancel(context.Background())
	told, hangUp := s.answer(ctx, t, p)
	command := exec.CommandContext(context.Background(), os.Args[0])
	command.Stdout, command.Stderr = p.log, p.log
	command.Env = append(os.Environ(), childVariable+"="+told)
	for name, value := range variables {
		command.Env = append(command.Env, name+"="+value)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	p.ask = func() { _ = command.Process.Signal(syscall.SIGTERM) } // it may have ended
	p.signal = command.Process.Signal
	p.kill = func() {
		killed = true
		_ = command.Process.Kill() // as above
		<-p.ended
	}
	go func() {
		defer close(p.ended)
		err := command.Wait()
		cancel()
		hangUp()
		if !killed {
			p.err = err
		}
		if err != nil {
			s.crashed(p.number)
		}
	}()
	p.awaitJoined(t)
	return p
}

// startThrough has the door run the program.
func (s *stage) startThrough(t *testing.T) *process {
	t.Helper()
	p, variables := s.prepare(t)
	ctx, cancel := context.WithCancel(context.Background())
	told, hangUp := s.answer(ctx, t, p)
	variables[childVariable] = told
	running := s.door.Start(t, s.program, Child{Path: os.Args[0], Environment: variables, Log: p.log})
	close(p.joined)
	killed := false
	p.ask = running.Ask
	p.kill = func() {
		killed = true
		running.Kill()
		<-p.ended
	}
	go func() {
		defer close(p.ended)
		<-running.Ended
		cancel()
		hangUp()
		if err := running.Err(); err != nil {
			s.crashed(p.number)
			if !killed {
				p.err = err
			}
		}
	}()
	return p
}

// crashed notes that a process did not end by itself.
func (s *stage) crashed(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = append(s.killed, number)
}

// answer answers the children of p until ctx ends. It returns what they are told, and what lets no further one in.
func (s *stage) answer(ctx context.Context, t *testing.T, p *process) (told string, hangUp func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(childProgram{Door: s.door.Name, Process: p.number, Functions: s.program.Functions, Parent: listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer()
	// Its methods are as they must be.
	_ = server.Register(&Case{ctx: ctx, joined: s.joining(p), perform: s.perform, calls: map[uint64]context.CancelFunc{}})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(connection)
		}
	}()
	return string(text), func() { _ = listener.Close() } // nobody calls any more
}

// joining returns what notes that a child takes part. A door that starts the program says so itself.
func (s *stage) joining(p *process) func() {
	if s.door.Start != nil {
		return func() {}
	}
	return sync.OnceFunc(func() { close(p.joined) })
}

// Case is what a child calls in the process of the test. It is exported because net/rpc wants that.
type Case struct {
	ctx     context.Context
	joined  func()
	perform answerer

	mu sync.Mutex
	// calls are those that the case decides about, by their number.
	calls map[uint64]context.CancelFunc
}

// Question is what a child asks the case. It is exported because net/rpc wants that.
type Question struct {
	Call Call
	// Number is the call's own, by which it can be given up.
	Number uint64
}

// Joined says that the child takes part.
func (c *Case) Joined(_, _ *struct{}) error {
	c.joined()
	return nil
}

// Perform says what a handler of the child shall do.
func (c *Case) Perform(q Question, a *Answer) error {
	ctx, cancel := context.WithCancel(c.ctx)
	c.mu.Lock()
	c.calls[q.Number] = cancel
	c.mu.Unlock()
	defer c.GiveUp(q.Number, nil) //nolint:errcheck // it has none
	defer func() {
		if p := recover(); p != nil {
			*a = Answer{Panics: true, Text: fmt.Sprint(p)}
		}
	}()
	*a = answerOf(c.perform(ctx, q.Call))
	return nil
}

// GiveUp ends the context of a call.
func (c *Case) GiveUp(number uint64, _ *struct{}) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel, ok := c.calls[number]; ok {
		cancel()
		delete(c.calls, number)
	}
	return nil
}

// Live returns when the child has ended: one whose call fails has lost its parent.
func (c *Case) Live(_, _ *struct{}) error {
	<-c.ctx.Done()
	return nil
}

// RunChild runs the program and exits, where this process is a child of a case; otherwise it returns at once. Call it
// first in TestMain.
func RunChild(doors ...Door) {
	told, ok := os.LookupEnv(childVariable)
	if !ok {
		return
	}
	if err := runChild(told, doors); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild(told string, doors []Door) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var child childProgram
	if err := json.Unmarshal([]byte(told), &child); err != nil {
		return fmt.Errorf("%s: %w", childVariable, err)
	}
	i := slices.IndexFunc(doors, func(d Door) bool { return d.Name == child.Door })
	if i < 0 {
		return fmt.Errorf("%s: there is no door %q", childVariable, child.Door)
	}
	parent, err := rpc.Dial("tcp", child.Parent)
	if err != nil {
		return fmt.Errorf("call the case: %w", err)
	}
	go func() {
		_ = parent.Call("Case.Live", &struct{}{}, &struct{}{}) // however it returns, nobody is left who wants this process
		os.Exit(3)
	}()
	specs := make([]function.Spec, len(child.Functions))
	for i, f := range child.Functions {
		specs[i] = f.spec(child.Process, askParent(parent))
	}
	return doors[i].Run(ctx, os.LookupEnv, specs, os.Stderr, func() {
		_ = parent.Call("Case.Joined", &struct{}{}, &struct{}{}) // who does not hear it fails the test
	})
}

// askParent returns what asks the case, in the parent, what a handler shall do. The call is over when the case says so, also
// where its context has ended: as in one process.
func askParent(parent *rpc.Client) answerer {
	return func(ctx context.Context, c Call) error {
		var a Answer
		q := Question{Call: c, Number: rand.Uint64()}
		asked := parent.Go("Case.Perform", q, &a, make(chan *rpc.Call, 1)).Done
		stop := context.AfterFunc(ctx, func() {
			_ = parent.Call("Case.GiveUp", q.Number, &struct{}{}) // the answer to Perform says more
		})
		defer stop()
		if answer := <-asked; answer.Error != nil {
			// Nobody decides any more what this handler does.
			os.Exit(3)
		}
		return a.err()
	}
}

// errCrash makes the child that gets it kill itself, in the handler, when its effect is done.
var errCrash = errors.New("crash now")

// errPanicked stands in the journal for a handler that panicked.
var errPanicked = errors.New("the handler panicked")
