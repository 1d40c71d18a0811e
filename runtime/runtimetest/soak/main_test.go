//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

// TestMain is a member where a run of the tests asks for one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == memberArgument {
		main()
	}
	goleak.VerifyTestMain(m)
}

// TestSoak runs everything once, for a few seconds. Little happens in so short a time, so it may be void.
func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes about 20 s")
	}
	for name, args := range map[string][]string{"at least once": nil, "exactly once": {"-exactly-once", "-eager", "-static"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := command(t.Context(), append(args, "-kafka", "embedded", "-seed", "1", "-events", "1000", "-load", "6s", "-duration", "2m"),
				&stdout, &stderr)
			if code != exitOK && code != exitVoid {
				t.Errorf("exit code %d", code)
			}
			last := regexp.MustCompile(`\nSOAK lost=0 order=0 attempts=0 early=0 deadletters=0 outputs=0 open=0 faults=[0-9]+\n$`)
			if !last.MatchString(stdout.String()) {
				t.Errorf("said\n%s%s", stdout.String(), stderr.String())
			}
			if kept := regexp.MustCompile(`what the members wrote is in (.+)\n`).FindStringSubmatch(stdout.String()); kept != nil {
				_ = os.RemoveAll(kept[1])
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"help":          {[]string{"-h"}, 0, "-exactly-once"},
		"unknown flag":  {[]string{"-no-such-flag"}, 2, "no-such-flag"},
		"arguments":     {[]string{"member", "please"}, 2, "unknown arguments"},
		"no events":     {[]string{"-events", "0"}, 2, "-events"},
		"too short":     {[]string{"-duration", "5s"}, 2, "-duration"},
		"load too long": {[]string{"-load", "11m"}, 2, "-load"},
		"unknown fault": {[]string{"-only", "late EndTxn"}, 2, `no fault "late EndTxn" in this run`},
		"other kafka":   {[]string{"-kafka", "franz"}, 2, "-kafka"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := command(t.Context(), test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stderr.String(), test.says) {
				t.Errorf("said %q, want %q in it", stderr.String(), test.says)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	good := history.Report{Faults: 1, Takeovers: 1, Retried: 1}
	bad := good
	for range maxShown + 5 {
		bad.Violations = append(bad.Violations, history.Violation{
			Law: history.Early, What: "committed", Nearby: []history.Fault{{Kind: "SIGKILL", Process: "member-1"}},
		})
	}
	tests := map[string]struct {
		report *history.Report
		err    error
		code   int
		says   string
	}{
		"good":               {&good, nil, exitOK, "1 takeovers"},
		"violations":         {&bad, nil, exitFailed, "nearby: 0.000s to 0.000s: SIGKILL (member-1)"},
		"many violations":    {&bad, nil, exitFailed, "early: and 5 more"},
		"void":               {&history.Report{}, nil, exitVoid, "void: there was no fault"},
		"failed":             {&good, errors.New("no space left"), exitFailed, "the run failed: no space left"},
		"nothing to judge":   {nil, errors.New("no java"), exitFailed, "the run failed: no java"},
		"failed, also void":  {&history.Report{}, errors.New("no space left"), exitFailed, "no space left"},
		"violated, not void": {&history.Report{Violations: bad.Violations[:1]}, nil, exitFailed, "early: committed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if code := judge(test.report, test.err, progress{out: &out, began: time.Now()}); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(out.String(), test.says) {
				t.Errorf("said %q, want %q in it", out.String(), test.says)
			}
		})
	}
}

func TestEndWithParent(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a broker")
	}
	c, err := startEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.createTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{program: program, settings: []string{"KAFKA_BROKERS=" + c.addr, "HTTP_ADDR=off", "DEAD_LETTER_TOPIC=" + letterTopic}, dir: t.TempDir()}
	if err := f.add(); err != nil {
		t.Fatal(err)
	}
	defer f.stop(9)
	p := f.members[0].process()
	f.mu.Lock()
	f.ending = true // nothing is started in its place
	f.mu.Unlock()
	if err := p.parent.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Error("the member outlives its parent")
	}
}
