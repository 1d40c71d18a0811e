package main

import (
	"bytes"
	"strings"
	"testing"
)

// say runs a command that ends by itself.
func say(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &problems)
	return code, out.String(), problems.String()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var all string
	for _, args := range [][]string{nil, {"help"}, {"--help"}} {
		code, stdout, stderr := say(t, args...)
		if code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
		all = stdout
	}
	for _, want := range []string{"dev ", "publish ", "tail ", "topics ", "load ", "trigger ", "invoke ", "version ", "Exit codes:", "130"} {
		if !strings.Contains(all, want) {
			t.Errorf("the help does not have %q:\n%s", want, all)
		}
	}
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"dev", "publish", "tail", "topics", "load", "trigger", "invoke", "version"} {
		code, stdout, stderr := say(t, command, "--help")
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Examples:\n  ") {
			t.Errorf("millrace %s --help: exit code %d, %s\n%s", command, code, stderr, stdout)
		}
	}
}

func TestCommandLinesThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown command": {[]string{"topic"}, "millrace topics"},
		"unknown flag":    {[]string{"--fast"}, "--fast"},
		"an argument":     {[]string{"version", "now"}, "now"},
		"a bad broker":    {[]string{"topics", "--kafka", "nowhere"}, "nowhere"},
	} {
		code, stdout, stderr := say(t, test.args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, test.want) || !strings.Contains(stderr, "\nTry: ") {
			t.Errorf("%s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if code, stdout, _ := say(t, "version"); code != 0 || !strings.HasPrefix(stdout, "millrace ") || !strings.Contains(stdout, "go1.") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}
