//go:build unix

package process_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
	"github.com/millrace/millrace/runtime/runtimetest"
)

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
