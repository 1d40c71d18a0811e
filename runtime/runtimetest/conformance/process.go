package conformance

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// process is a running program, in this process or in a child.
type process struct {
	number int
	// joined is closed when records can reach it, ended when it is over: then err says how.
	joined, ended chan struct{}
	err           error
	// ask asks it to end, as SIGTERM does.
	ask func()
	// kill ends it at once; nil in this process.
	kill func()
	// signal sends a signal; nil in this process.
	signal func(os.Signal) error
	log    *logBuffer
}

// start runs the program in this process until it is stopped, at the latest when t ends, and waits until it has joined.
func (s *stage) start(t *testing.T) *process {
	t.Helper()
	p := s.launch(t)
	p.awaitJoined(t)
	return p
}

// launch is start without the wait.
func (s *stage) launch(t *testing.T) *process {
	t.Helper()
	if s.door.Start != nil {
		return s.startThrough(t)
	}
	p, variables := s.prepare(t)
	ctx, cancel := context.WithCancel(context.Background())
	p.ask = cancel
	lookup := func(key string) (string, bool) {
		v, ok := variables[key]
		return v, ok
	}
	specs := make([]function.Spec, len(s.program.Functions))
	for i, f := range s.program.Functions {
		specs[i] = f.spec(p.number, s.perform)
	}
	joined := sync.OnceFunc(func() { close(p.joined) })
	go func() {
		defer close(p.ended)
		p.err = s.door.Run(ctx, lookup, specs, p.log, joined)
	}()
	return p
}

// newProcess returns a process that ends with t, and whose log is shown where t failed.
func newProcess(t *testing.T, number int) *process {
	t.Helper()
	p := &process{number: number, joined: make(chan struct{}), ended: make(chan struct{}), log: &logBuffer{}, ask: func() {}}
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("log of process %d:\n%s", number, p.log)
		}
	})
	return p
}

func (p *process) awaitJoined(t *testing.T) {
	t.Helper()
	runtimetest.Eventually(t, "the process to take part", func() bool {
		select {
		case <-p.joined:
			return true
		case <-p.ended:
			t.Fatalf("process %d ended before it took part: %v", p.number, p.err)
			return false
		default:
			return false
		}
	})
}

// stop asks the process to end and waits until it has. It may be called more than once.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.ask()
	select {
	case <-p.ended:
	case <-time.After(runtimetest.Patience):
		t.Errorf("process %d did not end within %s", p.number, runtimetest.Patience)
		return
	}
	if p.err != nil {
		t.Errorf("process %d ended with: %v", p.number, p.err)
		p.err = nil
	}
}

// pause stops a child in its tracks until resume is called.
func (p *process) pause(t *testing.T) (resume func()) {
	t.Helper()
	send := func(s os.Signal) {
		if err := p.signal(s); err != nil {
			t.Fatalf("%s to process %d: %v", s, p.number, err)
		}
	}
	resume = sync.OnceFunc(func() { send(syscall.SIGCONT) })
	t.Cleanup(resume)
	send(syscall.SIGSTOP)
	return resume
}

// awaitCrash waits until the process has ended, as it was told to by errCrash.
func (p *process) awaitCrash(t *testing.T) {
	t.Helper()
	await(t, "the crash", p.ended)
	if p.err == nil {
		t.Fatalf("process %d ended well, and should have crashed", p.number)
	}
	p.err = nil
}

// readiness returns the status with which the process at addr says whether it can do its work, 0 where it says nothing.
func readiness(t *testing.T, addr string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close() // only the status counts
	return response.StatusCode
}

func awaitReady(t *testing.T, addr string) {
	t.Helper()
	runtimetest.Eventually(t, "readiness", func() bool { return readiness(t, addr) == http.StatusOK })
}

func awaitRed(t *testing.T, addr string) {
	t.Helper()
	runtimetest.Eventually(t, "readiness to turn red", func() bool { return readiness(t, addr) == http.StatusServiceUnavailable })
}

// logLimit bounds what is kept of a log.
const logLimit = 1 << 20

// logBuffer keeps the end of a log. It is safe for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write never fails.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > logLimit {
		b.buf.Next(logLimit / 2)
	}
	return b.buf.Write(p)
}

// String returns what is kept.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
