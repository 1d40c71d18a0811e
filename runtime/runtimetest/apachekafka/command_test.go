package main

import (
	"context"
	"errors"
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
			code, err := execute(t.Context(), test.command, pretended(nil))
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
	ended := loop(ctx, t, "exit 9", pretended(nil))
	interrupt()
	if got := <-ended; got.code != 9 || got.err != nil {
		t.Errorf("exit code %d, error %v, want 9 and none", got.code, got.err)
	}
}

func TestCommandIsInterruptedWhenTheBrokerEnds(t *testing.T) {
	t.Parallel()
	kafka := make(pretended)
	ended := loop(t.Context(), t, "exit 0", kafka)
	kafka <- errors.New("out of memory")
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
func loop(ctx context.Context, t *testing.T, interrupted string, kafka server) <-chan end {
	t.Helper()
	started := filepath.Join(t.TempDir(), "started")
	ended := make(chan end, 1)
	go func() {
		code, err := execute(ctx, shell("trap '"+interrupted+"' INT; : >'"+started+"'; while :; do sleep 0.01; done"), kafka)
		ended <- end{code, err}
	}()
	runtimetest.Eventually(t, "start of the command", func() bool {
		_, err := os.Stat(started)
		return err == nil
	})
	return ended
}

// pretended is a broker as far as a command can see. It ends when an error is sent.
type pretended chan error

func (pretended) Addr() string { return "127.0.0.1:1" }

func (p pretended) Wait(ctx context.Context) error {
	select {
	case err := <-p:
		return err
	case <-ctx.Done():
		return nil
	}
}

func shell(script string) []string { return []string{"sh", "-c", script} }
