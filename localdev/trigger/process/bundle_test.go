//go:build unix

package process_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace/millrace/localdev/trigger/process"
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
