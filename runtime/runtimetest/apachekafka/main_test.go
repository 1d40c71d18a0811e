package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/apachekafka/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunWithoutABroker(t *testing.T) {
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"help":         {[]string{"-h"}, 0, "usage: apachekafka"},
		"unknown flag": {[]string{"-no-such-flag"}, 2, "no-such-flag"},
		"no java":      {[]string{"--", "true"}, 1, "needs Java 17 or newer"},
	}
	t.Setenv("JAVA_HOME", t.TempDir())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stderr.String(), test.says) {
				t.Errorf("said %q, want %q in it", stderr.String(), test.says)
			}
		})
	}
}

// TestRun starts a broker of its own while the suite runs against another, so it needs what that one needed.
func TestRun(t *testing.T) {
	t.Parallel()
	if os.Getenv(runtimetest.AddressVariable) == "" {
		t.Skip("needs Java and Maven: make test-kafka runs it")
	}
	for _, command := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(err)
		}
	}
	var stdout, stderr bytes.Buffer
	check := `test "$` + runtimetest.AddressVariable + `" != "` + os.Getenv(runtimetest.AddressVariable) + `" && exit 3`
	if code := run(t.Context(), []string{"--", "sh", "-c", check}, &stdout, &stderr); code != 3 {
		t.Errorf("exit code %d, want the command's 3; said:\n%s", code, stderr.String())
	}
	for _, says := range []string{"Apache Kafka " + broker.Version + " answers on 127.0.0.1:", "sh ended with exit code 3"} {
		if !strings.Contains(stderr.String(), says) {
			t.Errorf("said %q, want %q in it", stderr.String(), says)
		}
	}
}
