package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if status, done := child(os.Args[1:]); done {
		os.Exit(status)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

//nolint:paralleltest // it measures, with the settings of the testing package, and would be disturbed
func TestEveryPeerDoesTheWorkAndIsReported(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	s, err := parse([]string{"--records", "5000", "--rounds", "1", "--write", page}, os.Getenv, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	if err := run(t.Context(), s, &out, &progress); err != nil {
		t.Fatalf("run() = %v after\n%s", err, &progress)
	}
	lines := regexp.MustCompile(`(?m)^BENCH ([a-z-]+) [0-9.]+ (?:ns/op|events/s|records/s|ms) [0-9]+\.[0-9]{2}$`).FindAllStringSubmatch(out.String(), -1)
	var named []string
	for _, line := range lines {
		if !strings.HasPrefix(line[1], "embedded-") {
			named = append(named, line[1])
		}
	}
	want := []string{
		"decode", "encode", "lambda", "start", "append-sqlite", "append-postgres", "relay-sqlite", "relay-postgres",
		"consume", "lanes", "produce", "publish", "exactly-once",
	}
	if strings.Contains(progress.String(), "append-postgres is skipped") {
		want = slices.DeleteFunc(want, func(name string) bool { return strings.HasSuffix(name, "-postgres") })
	}
	if !slices.Equal(named, want) {
		t.Errorf("figures %v, want %v in\n%s", named, want, &out)
	}
	for name, peers := range contenders {
		if name == "poison" || name == "transactions" {
			continue
		}
		if n := strings.Count(progress.String(), name+", round 1 of 1"); n < len(peers) {
			t.Errorf("%s: %d peers were measured, want %d:\n%s", name, n, len(peers), &progress)
		}
	}
	// Whatever the speed: the order of keys is kept, and what always fails is dealt with.
	for _, goal := range []string{"out of order at most 0: missed", "others handled at least 999: missed", "dead letters at least 1: missed"} {
		if strings.Contains(out.String(), goal) {
			t.Errorf("%s:\n%s", goal, &out)
		}
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "### exactly-once") {
		t.Errorf("the page: %v\n%s", err, text)
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--only", "decode,guess"}, `--only names "guess"`},
		{[]string{"--rounds", "0"}, "--rounds is 0"},
		{[]string{"--records", "10"}, "--records is 10"},
		{[]string{"now"}, `unknown arguments ["now"]`},
	} {
		if _, err := parse(tc.args, os.Getenv, io.Discard); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("parse(%q) = %v, want %q", tc.args, err, tc.want)
		}
	}
	if _, err := parse([]string{"--help"}, os.Getenv, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("parse(--help) = %v", err)
	}
}

func TestAClusterIsTakenFromTheFlagOrTheEnvironment(t *testing.T) {
	t.Parallel()
	environment := func(string) string { return "a:1,b:2" }
	for want, args := range map[string][]string{"a:1,b:2": nil, "c:3": {"--kafka", "c:3"}} {
		s, err := parse(args, environment, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.brokers, ","); got != want {
			t.Errorf("brokers %s with %q, want %s", got, args, want)
		}
	}
}

// A folder that was not there once made every peer fail, which was found out after minutes.
func TestWhatIsWrittenToIsMadeBeforeAnythingIsMeasured(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	s := settings{profiles: filepath.Join(folder, "deep", "profiles"), write: file}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.profiles, file} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	for flag, s := range map[string]settings{
		"--profile": {profiles: filepath.Join(file, "in a file")},
		"--write":   {write: filepath.Join(folder, "absent", "file")},
	} {
		if err := s.prepare(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%+v: %v, want an error that names %s", s, err, flag)
		}
	}
}
