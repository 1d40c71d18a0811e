//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// bundle is a pool, with what it wrote and told.
type bundle struct {
	*process.Pool

	log    journal
	events recorder
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(line) == 0 || line[len(line)-1] != '\n' || bytes.IndexByte(line, '\n') != len(line)-1 {
		fmt.Fprintf(&j.text, "NOT A LINE %q\n", line)
	}
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

type recorder struct {
	mu   sync.Mutex
	list []process.Event
}

func (r *recorder) record(e process.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
}

func (r *recorder) all() []process.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// start starts a pool of the test's own bootstrap.
func start(t *testing.T, f process.Function, o process.Options) *bundle {
	t.Helper()
	b := &bundle{}
	if f.Name == "" {
		f.Name = "orders"
	}
	if f.Bootstrap == "" {
		f.Bootstrap = self(t)
	}
	if f.Environment == nil {
		f.Environment = map[string]string{initKey: "ok"}
	}
	if f.Timeout == 0 {
		f.Timeout = runtimetest.Patience
	}
	o.Log, o.Events = &b.log, b.events.record
	var err error
	if b.Pool, err = process.Start(f, &o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%.4000s", b.log.String())
		}
	})
	return b
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *bundle) invoke(t *testing.T, what task) process.Result {
	t.Helper()
	result, err := b.Invoke(t.Context(), event(what))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// ask is invoke of something that succeeds.
func (b *bundle) ask(t *testing.T, what task) told {
	t.Helper()
	return answer(t, b.invoke(t, what))
}

func answer(t *testing.T, r process.Result) (a told) {
	t.Helper()
	if r.Error != nil {
		t.Fatalf("the function failed: %v\n%s", r.Error, r.Error.Log)
	}
	if err := json.Unmarshal(r.Payload, &a); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	return a
}

// refused checks the error of an invocation.
func refused(t *testing.T, r process.Result, wantType, wantMessage string) {
	t.Helper()
	if r.Error == nil {
		t.Fatalf("the function succeeded with %s", r.Payload)
	}
	if r.Error.Type != wantType || r.Error.Message != wantMessage {
		t.Errorf("got the error %q %q, want %q %q", r.Error.Type, r.Error.Message, wantType, wantMessage)
	}
	var document struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(r.Payload, &document); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	if document.ErrorType != wantType || document.ErrorMessage != wantMessage {
		t.Errorf("the answer is %s", r.Payload)
	}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestAProcessIsUsedAgain(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{Timeout: 20 * time.Second}, process.Options{})
	cold, warm := b.invoke(t, task{Text: "a"}), b.invoke(t, task{Text: "b"})
	first, second := answer(t, cold), answer(t, warm)
	if first.Text != "a" || second.Text != "b" || first.PID != second.PID {
		t.Errorf("got %+v and %+v", first, second)
	}
	if cold.Init <= 0 || warm.Init != 0 || cold.Duration <= 0 || cold.RequestID == warm.RequestID {
		t.Errorf("got %+v and %+v", cold, warm)
	}
	if first.ID != cold.RequestID || first.ARN != "arn:aws:lambda:us-east-1:123456789012:function:orders" ||
		!strings.HasPrefix(first.Trace, "Root=1-") || first.Trace == second.Trace {
		t.Errorf("the context is %+v", first)
	}
	if first.Remains <= 0 || first.Remains > 20*time.Second {
		t.Errorf("%s remained of 20 s", first.Remains)
	}
	if want := filepath.Dir(self(t)); first.Dir != want {
		t.Errorf("it runs in %s, want %s", first.Dir, want)
	}
}

func TestAnErrorOfTheFunctionKeepsTheProcess(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	before := b.ask(t, task{})
	refused(t, b.invoke(t, task{Do: "error", Text: "no stock"}), "errorString", "no stock")
	if after := b.ask(t, task{}); after.PID != before.PID {
		t.Errorf("process %d took the place of %d", after.PID, before.PID)
	}
}

func TestAPanicIsAnErrorAndEndsTheProcess(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	before := b.ask(t, task{})
	result := b.invoke(t, task{Do: "panic", Text: "nil map"})
	if result.Error == nil || result.Error.Type != "string" || result.Error.Message != "nil map" ||
		!bytes.Contains(result.Payload, []byte("stackTrace")) {
		t.Errorf("got %s, %v", result.Payload, result.Error)
	}
	if after := b.ask(t, task{}); after.PID == before.PID || !gone(before.PID) {
		t.Errorf("the process that panicked is still there: %d, %d", before.PID, after.PID)
	}
}

func TestAProcessThatEndsInMidInvocation(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	for status, want := range map[int]string{0: "Runtime exited without providing a reason", 3: "Runtime exited with error: exit status 3"} {
		r := b.invoke(t, task{Do: "exit", N: status})
		refused(t, r, process.TypeExit, "RequestId: "+r.RequestID+" Error: "+want)
		if !strings.HasSuffix(r.Error.Log, "last words\n") {
			t.Errorf("the log is %q", r.Error.Log)
		}
	}
	b.ask(t, task{})
}

func TestTimeoutKillsTheProcess(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{Timeout: 1250 * time.Millisecond}, process.Options{})
	before := b.ask(t, task{})
	r := b.invoke(t, task{Do: "sleep", N: 1e6})
	refused(t, r, process.TypeTimeout, "RequestId: "+r.RequestID+" Error: Task timed out after 1.25 seconds")
	if !gone(before.PID) {
		t.Error("the process is still there")
	}
	if r.Duration < 1250*time.Millisecond {
		t.Errorf("it timed out after %s", r.Duration)
	}
	if after := b.ask(t, task{}); after.PID == before.PID {
		t.Error("the process is used again")
	}
}

func TestInitThatFails(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(broken, []byte("no binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		init, bootstrap       string
		timeout               time.Duration
		wantType, wantMessage string
		wantLog               string
	}{
		"exit": {
			init: "exit", wantType: process.TypeExit, wantLog: "no settings\ngiving up\n",
			wantMessage: "RequestId: %s Error: Runtime exited with error: exit status 7",
		},
		"hang": {
			init: "hang", timeout: 500 * time.Millisecond, wantType: process.TypeTimeout,
			wantMessage: "RequestId: %s Error: Init timed out after 0.50 seconds",
		},
		"its own error": {init: "error", wantType: "Settings", wantMessage: "TOPIC is missing"},
		"not executable": {
			init: "ok", bootstrap: broken, wantType: process.TypeInvalidEntrypoint,
			wantMessage: "RequestId: %s Error: fork/exec " + broken + ": permission denied",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, process.Function{Bootstrap: test.bootstrap, Environment: map[string]string{initKey: test.init}},
				process.Options{InitTimeout: test.timeout})
			r := b.invoke(t, task{})
			refused(t, r, test.wantType, strings.ReplaceAll(test.wantMessage, "%s", r.RequestID))
			if r.Error.Log != test.wantLog {
				t.Errorf("the log is %q, want %q", r.Error.Log, test.wantLog)
			}
			events := b.events.all()
			if len(events) != 1 || events[0].Kind != process.KindInit || events[0].Error != r.Error {
				t.Errorf("the events are %v", events)
			}
		})
	}
}

func TestABrokenBinaryDoesNotSpin(t *testing.T) {
	t.Parallel()
	flag := filepath.Join(t.TempDir(), "flag")
	b := start(t, process.Function{Environment: map[string]string{initKey: "once", "TEST_FLAG": flag}}, process.Options{})
	begin := time.Now()
	for range 4 {
		if r := b.invoke(t, task{}); r.Error == nil || r.Error.Type != process.TypeExit {
			t.Fatalf("got %+v", r)
		}
	}
	if took := time.Since(begin); took < 700*time.Millisecond {
		t.Errorf("4 starts took %s, want waits of 100, 200 and 400 ms", took)
	}
	ended, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Invoke(ended, event(task{})); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while a start is put off", err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.ask(t, task{})
}

func TestSizes(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	fits := b.invoke(t, task{Do: "huge", N: runtimeapi.MaxPayload - 2})
	if fits.Error != nil || len(fits.Payload) != runtimeapi.MaxPayload {
		t.Errorf("got %d bytes, %v", len(fits.Payload), fits.Error)
	}
	refused(t, b.invoke(t, task{Do: "huge", N: 8_000_000}), runtimeapi.TypeResponseTooLarge,
		"Response payload size (8000002 bytes) exceeded maximum allowed payload size (6291556 bytes).")
	b.ask(t, task{})
	_, err := b.Invoke(t.Context(), make([]byte, runtimeapi.MaxPayload+1))
	if tooLarge, ok := errors.AsType[*process.PayloadTooLargeError](err); !ok || tooLarge.Size != runtimeapi.MaxPayload+1 {
		t.Errorf("got %v", err)
	}
	large := event(task{Text: strings.Repeat("x", runtimeapi.MaxPayload-100)})
	if r, err := b.Invoke(t.Context(), large); err != nil || r.Error == nil || r.Error.Type != runtimeapi.TypeResponseTooLarge {
		t.Errorf("got %v, %v for an event of %d bytes that is answered with more", r.Error, err, len(large))
	}
}

func TestAnAnswerThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	refused(t, b.invoke(t, task{Do: "break off"}), "errorString", "the source ran dry")
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	const invocations, processes = 200, 6
	b := start(t, process.Function{Concurrency: processes}, process.Options{})
	var mu sync.Mutex
	pids := map[int]bool{}
	var group sync.WaitGroup
	for i := range invocations {
		group.Go(func() {
			text := fmt.Sprint("n", i)
			r, err := b.Invoke(t.Context(), event(task{Do: "sleep", Text: text, N: 2}))
			if err != nil || r.Error != nil {
				t.Errorf("got %v, %v", err, r.Error)
				return
			}
			var a told
			if err := json.Unmarshal(r.Payload, &a); err != nil || a.Text != text || a.ID != r.RequestID {
				t.Errorf("got %+v, %v, want %s of %s", a, err, text, r.RequestID)
			}
			mu.Lock()
			defer mu.Unlock()
			pids[a.PID] = true
		})
	}
	group.Wait()
	if len(pids) < 2 || len(pids) > processes {
		t.Errorf("%d processes served, want 2 to %d", len(pids), processes)
	}
	busy := map[int]bool{}
	for _, e := range b.events.all() {
		if e.Kind == process.KindStart && busy[e.PID] {
			t.Fatalf("process %d got an invocation before it was done with another", e.PID)
		}
		busy[e.PID] = e.Kind == process.KindStart
	}
}

func TestTheOneThatWasBusyLastIsNext(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{Concurrency: 2}, process.Options{})
	long := make(chan told)
	go func() {
		r, err := b.Invoke(t.Context(), event(task{Do: "sleep", N: 700}))
		var a told
		if err == nil {
			err = json.Unmarshal(r.Payload, &a)
		}
		if err != nil {
			t.Error(err)
		}
		long <- a
	}()
	runtimetest.Eventually(t, "the start of the long one", func() bool { return len(b.events.all()) > 0 })
	short := b.ask(t, task{})
	last := <-long
	if short.PID == last.PID {
		t.Fatal("one process for two invocations")
	}
	for range 3 {
		if next := b.ask(t, task{}); next.PID != last.PID {
			t.Errorf("process %d is next, want %d", next.PID, last.PID)
		}
	}
}

func TestIdleProcessesEnd(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{IdleTimeout: 50 * time.Millisecond})
	first := b.ask(t, task{})
	runtimetest.Eventually(t, "the end of an idle process", func() bool { return gone(first.PID) })
	if second := b.ask(t, task{}); second.PID == first.PID {
		t.Error("the process is used again")
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	if n := b.Kill(1); n != 0 {
		t.Errorf("killed %d of no processes", n)
	}
	idle := b.ask(t, task{})
	if n := b.Kill(5); n != 1 {
		t.Errorf("killed %d processes of one", n)
	}
	// Nobody hears of the death of a process that had nothing to do.
	if next := b.ask(t, task{}); next.PID == idle.PID {
		t.Error("a dead process answered")
	}
	ended := make(chan process.Result)
	go func() {
		r, err := b.Invoke(t.Context(), event(task{Do: "sleep", N: 1e6}))
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	runtimetest.Eventually(t, "an invocation under way", func() bool {
		events := b.events.all()
		return events[len(events)-1].Kind == process.KindStart
	})
	b.Kill(1)
	r := <-ended
	refused(t, r, process.TypeExit, "RequestId: "+r.RequestID+" Error: Runtime exited with error: signal: killed")
}

func TestManyIdleKillsAreNotSeen(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	for range 20 {
		b.ask(t, task{})
		b.Kill(1)
	}
}

func TestAnInvocationThatIsGivenUpEndsItsProcess(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	before := b.ask(t, task{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := b.Invoke(ctx, event(task{Do: "sleep", N: 1e6}))
		ended <- err
	}()
	runtimetest.Eventually(t, "an invocation under way", func() bool { return len(b.events.all()) == 4 })
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if !gone(before.PID) {
		t.Error("the process goes on")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{Concurrency: 3}, process.Options{})
	idle := b.ask(t, task{Do: "child", Text: "1000"})
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := b.Invoke(t.Context(), event(task{Do: "sleep", N: 1e6}))
			ended <- err
		}()
	}
	runtimetest.Eventually(t, "invocations under way", func() bool { return len(b.events.all()) == 5 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, process.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	pids := []int{idle.PID, idle.Child}
	for _, e := range b.events.all() {
		pids = append(pids, e.PID)
	}
	for _, pid := range pids {
		// A grandchild is the init process's to bury, whenever it does.
		runtimetest.Eventually(t, fmt.Sprint("the end of process ", pid), func() bool { return gone(pid) || zombie(pid) })
	}
	if _, err := b.Invoke(t.Context(), event(task{})); !errors.Is(err, process.ErrClosed) {
		t.Errorf("got %v after Close", err)
	}
}

func zombie(pid int) bool { return condition(pid) == "Z" }

// condition is the state of a process as Linux shows it; empty on other systems.
func condition(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return rest[:1]
}

func TestACrashEndsTheChildrenToo(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	a := b.ask(t, task{Do: "child", Text: "1000"})
	b.invoke(t, task{Do: "exit", N: 1})
	runtimetest.Eventually(t, "the end of the child", func() bool { return gone(a.Child) || zombie(a.Child) })
}

func TestSIGTERMForWhoAsksForIt(t *testing.T) {
	t.Parallel()
	for _, freeze := range []bool{false, true} {
		b := start(t, process.Function{Environment: map[string]string{initKey: "sigterm"}}, process.Options{Freeze: freeze})
		b.ask(t, task{})
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.log.String(), "cleaned up\n") {
			t.Errorf("frozen %t: the log is %q", freeze, &b.log)
		}
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{Freeze: true})
	first := b.ask(t, task{})
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		runtimetest.Eventually(t, "a process that is stopped", func() bool { return condition(first.PID) == "T" })
	}
	if second := b.ask(t, task{}); second.PID != first.PID {
		t.Errorf("process %d took the place of the frozen %d", second.PID, first.PID)
	}
	b.Kill(1)
	b.ask(t, task{})
}

func TestTheEnvironmentOfAProcess(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{MemoryMB: 512, Environment: map[string]string{
		initKey: "ok", "TOPIC": "order-events", "AWS_REGION": "eu-west-1", "AWS_LAMBDA_FUNCTION_NAME": "forged",
	}}, process.Options{})
	got := map[string]string{}
	for _, variable := range b.ask(t, task{}).Env {
		key, value, _ := strings.Cut(variable, "=")
		got[key] = value
	}
	for key, want := range map[string]string{
		"TOPIC": "order-events", "AWS_REGION": "eu-west-1", "AWS_LAMBDA_FUNCTION_NAME": "orders",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_ACCESS_KEY_ID": "local",
		"PATH": os.Getenv("PATH"), "LAMBDA_TASK_ROOT": filepath.Dir(self(t)),
	} {
		if got[key] != want {
			t.Errorf("%s=%q, want %q", key, got[key], want)
		}
	}
	if _, ok := got[ownKey]; ok {
		t.Error("a variable of this process came through")
	}
}

func TestRealCredentialsStandAlone(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{Environment: map[string]string{
		initKey: "ok", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
	}}, process.Options{})
	env := b.ask(t, task{}).Env
	if !slices.Contains(env, "AWS_ACCESS_KEY_ID=a") || slices.Contains(env, "AWS_SESSION_TOKEN=local") {
		t.Errorf("the environment is %q", env)
	}
}

func TestLinesOfTheLog(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{}, process.Options{})
	b.ask(t, task{Do: "print", Text: "x", N: process.MaxLine + 10})
	b.ask(t, task{Do: "print", Text: "\n", N: 2})
	b.ask(t, task{Do: "print", Text: "y", N: process.MaxLine})
	b.ask(t, task{Do: "print", Text: "\nnext\n", N: 1})
	want := strings.Repeat("x", process.MaxLine) + "\nxxxxxxxxxx\n\n" + strings.Repeat("y", process.MaxLine) + "\nnext\n"
	runtimetest.Eventually(t, "the output", func() bool { return strings.HasSuffix(b.log.String(), "next\n") })
	if got := b.log.String(); got != want {
		t.Errorf("got %d bytes %.20q…%q", len(got), got, got[max(0, len(got)-40):])
	}
}

func TestEventsAreLambdasLines(t *testing.T) {
	t.Parallel()
	b := start(t, process.Function{Timeout: time.Minute, MemoryMB: 256}, process.Options{})
	r := b.invoke(t, task{})
	failed := b.invoke(t, task{Do: "exit", N: 1})
	var got []string
	for _, e := range b.events.all() {
		if e.Function != "orders" || e.PID == 0 || e.Time.IsZero() {
			t.Errorf("got %+v", e)
		}
		got = append(got, e.String())
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }
	bill := func(d time.Duration) int64 { return (int64(d) + 999_999) / 1e6 }
	want := []string{
		"START RequestId: " + r.RequestID + " Version: $LATEST",
		"END RequestId: " + r.RequestID,
		fmt.Sprintf("REPORT RequestId: %s\tDuration: %s\tBilled Duration: %d ms\tMemory Size: 256 MB\tInit Duration: %s",
			r.RequestID, ms(r.Duration), bill(r.Duration+r.Init), ms(r.Init)),
		"START RequestId: " + failed.RequestID + " Version: $LATEST",
		"END RequestId: " + failed.RequestID,
		fmt.Sprintf("REPORT RequestId: %s\tDuration: %s\tBilled Duration: %d ms\tMemory Size: 256 MB\tStatus: error\tError Type: Runtime.ExitError",
			failed.RequestID, ms(failed.Duration), bill(failed.Duration)),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPoolsShareAServer(t *testing.T) {
	t.Parallel()
	api, err := runtimeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orders", "mail"} {
		b := start(t, process.Function{Name: name}, process.Options{API: api})
		if a := b.ask(t, task{}); !strings.HasSuffix(a.ARN, ":"+name) {
			t.Errorf("%s got an invocation of %s", name, a.ARN)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := api.Close(); err != nil {
		t.Error(err)
	}
}

func TestAProcessStartedByHand(t *testing.T) {
	t.Parallel()
	p, err := process.Start(process.Function{Name: "orders", Environment: map[string]string{initKey: "ok"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	b := &bundle{Pool: p}
	run := func() *exec.Cmd {
		command := exec.Command(self(t))
		command.Env = p.Environment()
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = command.Process.Kill(), command.Wait() })
		return command
	}
	answers := make(chan process.Result)
	ask := func(what task) {
		r, err := p.Invoke(t.Context(), event(what))
		if err != nil {
			t.Error(err)
		}
		answers <- r
	}
	go ask(task{Text: "early"})
	first := run()
	early := answer(t, <-answers)
	if early.Text != "early" || early.PID != first.Process.Pid || early.Remains < time.Hour {
		t.Errorf("got %+v", early)
	}
	go ask(task{Do: "exit", N: 1})
	_ = first.Wait()
	second := run()
	lost := <-answers
	refused(t, lost, process.TypeExit, "RequestId: "+lost.RequestID+" Error: Runtime exited without providing a reason")
	if a := b.ask(t, task{Text: "again"}); a.Text != "again" || a.PID != second.Process.Pid {
		t.Errorf("got %+v", a)
	}
	if b.Kill(1) != 0 || gone(second.Process.Pid) {
		t.Error("the developer's process was killed")
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		function process.Function
		want     string
	}{
		"no name":        {process.Function{Bootstrap: self(t)}, "no name"},
		"no such file":   {process.Function{Name: "orders", Bootstrap: "nowhere/bootstrap"}, "nowhere/bootstrap"},
		"a folder":       {process.Function{Name: "orders", Bootstrap: t.TempDir()}, "not a file"},
		"a negative one": {process.Function{Name: "orders", Bootstrap: self(t), Timeout: -1}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := process.Start(test.function, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %q", err, test.want)
			}
		})
	}
}

func TestProcessesEndWithTheOneThatStartedThem(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends processes with the one that started them")
	}
	parent := exec.Command(self(t))
	parent.Env = append(os.Environ(), initKey+"=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %s", line)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	runtimetest.Eventually(t, "the end of the orphan", func() bool { return gone(pid) || zombie(pid) })
}
