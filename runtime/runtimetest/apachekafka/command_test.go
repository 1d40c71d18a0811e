package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestExecute(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		command []string
		code    int
		says    string
	}{
		"success":     {shell("exit 0"), 0, ""},
		"exit code":   {shell("exit 7"), 7, ""},
		"killed":      {shell("kill -9 $$"), 137, ""},
		"address":     {shell(`test "$` + runtimetest.AddressVariable + `" = 127.0.0.1:1`), 0, ""},
		"not a thing": {[]string{"no-such-command"}, 1, "no-such-command"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, err := execute(t.Context(), test.command, pretended(t))
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v, want %q in it", err, test.says)
			}
		})
	}
}

func TestInterruptedCommandEndsInItsOwnWay(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	ended := loop(ctx, t, "exit 9", pretended(t))
	interrupt()
	if got := <-ended; got.code != 9 || got.err != nil {
		t.Errorf("exit code %d, error %v, want 9 and none", got.code, got.err)
	}
}

func TestCommandIsInterruptedWhenTheBrokerEnds(t *testing.T) {
	t.Parallel()
	b := pretended(t)
	if err := os.WriteFile(b.file("broker.log"), []byte("out of memory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := loop(t.Context(), t, "exit 0", b)
	close(b.ended)
	if got := <-ended; got.code != 1 || got.err == nil || !strings.Contains(got.err.Error(), "out of memory") {
		t.Errorf("exit code %d, error %v, want 1 and the broker's log", got.code, got.err)
	}
}

// end is how a command ended.
type end struct {
	code int
	err  error
}

// loop starts a command that runs until it is interrupted and then does what is asked for. It returns when the command
// is running.
func loop(ctx context.Context, t *testing.T, interrupted string, b *broker) <-chan end {
	t.Helper()
	started := filepath.Join(t.TempDir(), "started")
	ended := make(chan end, 1)
	go func() {
		code, err := execute(ctx, shell("trap '"+interrupted+"' INT; : >'"+started+"'; while :; do sleep 0.01; done"), b)
		ended <- end{code, err}
	}()
	runtimetest.Eventually(t, "start of the command", func() bool {
		_, err := os.Stat(started)
		return err == nil
	})
	return ended
}

// pretended is a broker as far as a command can see: an address and a log.
func pretended(t *testing.T) *broker {
	t.Helper()
	return &broker{address: "127.0.0.1:1", dir: t.TempDir(), ended: make(chan struct{}), kill: func() {}}
}

func shell(script string) []string { return []string{"sh", "-c", script} }
