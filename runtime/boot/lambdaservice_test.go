package boot_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// lambdaService is Lambda as a program sees it: what hands out invocations and takes their answers
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
type lambdaService struct {
	server *httptest.Server
	// asked gets a value each time that the program asks for an invocation.
	asked chan struct{}
	// next are the invocations to hand out.
	next chan invocation
	// answers are those of invocations, startErrors those of a program that does not start.
	answers     chan lambdaAnswer
	startErrors chan string
}

type invocation struct {
	id      string
	payload string
	timeout time.Duration
}

// lambdaAnswer is what the program made of an invocation.
type lambdaAnswer struct {
	id     string
	failed bool
	body   string
}

func newLambdaService(t *testing.T) *lambdaService {
	t.Helper()
	s := &lambdaService{
		asked:       make(chan struct{}, 100),
		next:        make(chan invocation),
		answers:     make(chan lambdaAnswer, 100),
		startErrors: make(chan string, 1),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", s.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", s.serveAnswer)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", s.serveStartError)
	s.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

func (s *lambdaService) serveNext(w http.ResponseWriter, r *http.Request) {
	s.asked <- struct{}{}
	select {
	case i := <-s.next:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(i.timeout).UnixMilli()))
		_, _ = io.WriteString(w, i.payload)
	case <-r.Context().Done():
	}
}

func (s *lambdaService) serveAnswer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.answers <- lambdaAnswer{r.PathValue("id"), r.PathValue("kind") == "error", string(body)}
	w.WriteHeader(http.StatusAccepted)
}

func (s *lambdaService) serveStartError(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.startErrors <- r.Header.Get("Lambda-Runtime-Function-Error-Type") + " " + string(body)
	w.WriteHeader(http.StatusAccepted)
}

// invoke has the program handle a payload within 30 s and returns its answer.
func (s *lambdaService) invoke(t *testing.T, id, payload string) lambdaAnswer {
	t.Helper()
	return s.invokeWithin(t, id, payload, 30*time.Second)
}

func (s *lambdaService) invokeWithin(t *testing.T, id, payload string, timeout time.Duration) lambdaAnswer {
	t.Helper()
	s.begin(t, invocation{id, payload, timeout})
	return receive(t, s.answers, "the answer of "+id)
}

// begin hands an invocation out.
func (s *lambdaService) begin(t *testing.T, i invocation) {
	t.Helper()
	select {
	case s.next <- i:
	case <-time.After(runtimetest.Patience):
		t.Fatalf("nobody asks for invocation %s", i.id)
	}
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(runtimetest.Patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// program is a process of this test's binary, started as a function's program.
type program struct {
	*lambdaService

	command        *exec.Cmd
	stdout, stderr *output
	// ended gets the exit code.
	ended chan int
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startProgram runs the functions that childVariables describe, on Lambda, until the test ends.
func startProgram(t *testing.T, environment map[string]string) *program {
	t.Helper()
	p := &program{lambdaService: newLambdaService(t), stdout: &output{}, stderr: &output{}, ended: make(chan int, 1)}
	p.command = exec.CommandContext(t.Context(), os.Args[0])
	p.command.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(p.server.URL, "http://")}
	for name, value := range environment {
		p.command.Env = append(p.command.Env, name+"="+value)
	}
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait()
		p.ended <- p.command.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		p.ended <- <-p.ended
		if t.Failed() {
			t.Logf("standard output:\n%s\nstandard error:\n%s", p.stdout, p.stderr)
		}
	})
	return p
}

// end has the program end, and returns its exit code. Its output is whole then.
func (p *program) end(t *testing.T) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.wait(t)
}

func (p *program) wait(t *testing.T) int {
	t.Helper()
	code := receive(t, p.ended, "end of the program")
	p.ended <- code
	return code
}

func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of text that are JSON objects.
func lines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		all = append(all, fields)
	}
	return all
}

// find returns the line whose field has a value that holds part.
func find(t *testing.T, all []map[string]any, field, part string) map[string]any {
	t.Helper()
	for _, line := range all {
		if value, _ := line[field].(string); strings.Contains(value, part) {
			return line
		}
	}
	t.Fatalf("no line has %q in %s", part, field)
	return nil
}

// with returns a copy of base with further variables.
func with(base map[string]string, pairs ...string) map[string]string {
	c := maps.Clone(base)
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}
