//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/runtime/runtimetest"
)

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
