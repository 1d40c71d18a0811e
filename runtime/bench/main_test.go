package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{brokerArgument}) {
		os.Exit(serveBroker(os.Stdin, os.Stdout, os.Stderr))
	}
	// What a peer left running would slow the next one down.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

//nolint:paralleltest // it measures, with the settings of the testing package, and would be disturbed
func TestEveryPeerDoesTheWorkAndIsReported(t *testing.T) {
	s, err := parse([]string{"--records", "5000", "--rounds", "1"}, os.Getenv, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	if err := run(t.Context(), s, &out, &progress); err != nil {
		t.Fatalf("run() = %v after\n%s", err, &progress)
	}
	lines := regexp.MustCompile(`(?m)^BENCH (\w+) [0-9]+ (?:ns/op|events/s) [0-9]+\.[0-9]{2}$`).FindAllStringSubmatch(out.String(), -1)
	var figures []string
	for _, line := range lines {
		figures = append(figures, line[1])
	}
	if !slices.Equal(figures, names) {
		t.Errorf("figures %v, want %v in\n%s", figures, names, &out)
	}
	if n := strings.Count(progress.String(), "consume, round 1 of 1"); n != 6 {
		t.Errorf("%d consumers were measured, want 6:\n%s", n, &progress)
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
