package foreign_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// enabled is the variable that make test-clients sets.
const enabled = "MILLRACE_TEST_CLIENTS"

// patience is how long a test waits for anything that the functions do.
const patience = 2 * time.Minute

// leaveWithin is how long millrace dev may take to end after Ctrl-C.
const leaveWithin = 5 * time.Second

// command is the path of the millrace command, built by TestMain.
var command string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(enabled) == "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "millrace-foreign-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	command = filepath.Join(dir, "millrace")
	build := exec.Command("go", "build", "-o", command, "../millrace")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the millrace command:", err)
		return 1
	}
	return m.Run()
}

// needs skips the test unless it was asked for and the programs are there.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv(enabled) == "" {
		t.Skipf("drives millrace by programs beside Go; make test-clients runs it (%s=1)", enabled)
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
}

// millrace is millrace dev with everything on ports of its own.
type millrace struct {
	kafka string // host:port
	args  []string
	env   []string

	process *exec.Cmd
	output  *output
	ended   chan error
}

// start starts millrace dev with further arguments and variables ("KEY=value"). It ends with the test.
func start(t *testing.T, args, env []string) *millrace {
	t.Helper()
	ports := freePorts(t, 6)
	m := &millrace{
		kafka: "127.0.0.1:" + ports[0],
		args: append([]string{
			"dev", "--kafka-port", ports[0], "--smtp-port", ports[1], "--webhook-port", ports[2],
			"--http-addr", "127.0.0.1:" + ports[3], "--payment-port", ports[4], "--api-addr", "127.0.0.1:" + ports[5],
		}, args...),
		env: env,
	}
	m.run(t)
	return m
}

// run starts the process. It ends with the test.
func (m *millrace) run(t *testing.T) {
	t.Helper()
	m.launch(t)
	t.Cleanup(func() {
		m.leave(t)
		if t.Failed() {
			t.Logf("millrace said:\n%s", m.output)
		}
	})
}

// launch starts the process and waits until its broker answers kcat.
func (m *millrace) launch(t *testing.T) {
	t.Helper()
	began := time.Now()
	m.output = &output{}
	m.process = exec.Command(command, m.args...)
	m.process.Env = append(os.Environ(), m.env...)
	m.process.Stdout, m.process.Stderr = m.output, m.output
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	m.ended = make(chan error, 1)
	go func() { m.ended <- m.process.Wait() }()
	eventually(t, "the broker of millrace dev", func() bool {
		select {
		case err := <-m.ended:
			m.ended <- err
			t.Fatalf("millrace %s ended: %v\n%s", strings.Join(m.args, " "), err, m.output)
		default:
		}
		metadata, err := exec.CommandContext(t.Context(), "kcat", "-b", m.kafka, "-L", "-m", "1").Output()
		return err == nil && bytes.Contains(metadata, []byte(`topic "notification-events"`))
	})
	t.Logf("millrace dev answers after %s", since(began))
}

// kill ends the process as a crash does.
func (m *millrace) kill(t *testing.T) {
	t.Helper()
	if err := m.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-m.ended; err == nil {
		t.Error("millrace dev ended by itself before it was killed")
	}
}

// leave ends the process as Ctrl-C does.
func (m *millrace) leave(t *testing.T) {
	t.Helper()
	began := time.Now()
	_ = m.process.Process.Signal(os.Interrupt) // a process that has ended is reported below
	select {
	case err := <-m.ended:
		if err != nil {
			t.Errorf("millrace dev ended with %v", err)
		}
		t.Logf("millrace dev left in %s", since(began))
	case <-time.After(leaveWithin):
		t.Errorf("millrace dev did not end within %s of Ctrl-C", leaveWithin)
		m.kill(t)
	}
}

// output keeps what a process prints while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns the end of what was printed.
func (o *output) String() string {
	const most = 8 << 10
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.Bytes()
	return string(text[max(0, len(text)-most):])
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		ports = append(ports, strconv.Itoa(runtimetest.FreeAddress(t).Port))
	}
	return ports
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
