package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	number, variables := s.environment(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, number)
	told, err := json.Marshal(childProgram{Door: s.door.Name, Process: number, Functions: s.program.Functions, Parent: listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.Background(), os.Args[0])
	command.Stdout, command.Stderr = p.log, p.log
	command.Env = append(os.Environ(), childVariable+"="+string(told))
	for name, value := range variables {
		command.Env = append(command.Env, name+"="+value)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.listen(listener, &Case{ctx: ctx, joined: sync.OnceFunc(func() { close(p.joined) }), perform: s.perform})
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
		_ = listener.Close() // the child may not have called
		if !killed {
			p.err = err
		}
		if err != nil {
			s.mu.Lock()
			s.killed = append(s.killed, number)
			s.mu.Unlock()
		}
	}()
	p.awaitJoined(t)
	return p
}

// listen serves c to the first who calls.
func (*stage) listen(listener net.Listener, c *Case) {
	go func() {
		connection, err := listener.Accept()
		_ = listener.Close()
		if err != nil {
			return
		}
		server := rpc.NewServer()
		_ = server.Register(c) // its methods are as they must be
		server.ServeConn(connection)
	}()
}

// Case is what a child calls in the process of the test. It is exported because net/rpc wants that.
type Case struct {
	ctx     context.Context
	joined  func()
	perform answerer
}

// Joined says that the child takes part.
func (c *Case) Joined(_, _ *struct{}) error {
	c.joined()
	return nil
}

// Perform says what a handler of the child shall do.
func (c *Case) Perform(call Call, a *Answer) error {
	*a = answerOf(c.perform(c.ctx, call))
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

// askParent returns what asks the case, in the parent, what a handler shall do.
func askParent(parent *rpc.Client) answerer {
	return func(ctx context.Context, c Call) error {
		var a Answer
		select {
		case asked := <-parent.Go("Case.Perform", c, &a, make(chan *rpc.Call, 1)).Done:
			if asked.Error != nil {
				// Nobody decides any more what this handler does.
				os.Exit(3)
			}
			return a.err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errCrash makes the child that gets it kill itself, in the handler, when its effect is done.
var errCrash = errors.New("crash now")

// errPanicked stands in the journal for a handler that panicked.
var errPanicked = errors.New("the handler panicked")
