package main

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/localdev/broker"
)

func TestTailFollows(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	succeed(t, orderEnvelope("before"), "publish", "--kafka", addr)
	s := begin(t, nil, "tail", "order-events", "--kafka", addr)
	until(t, &s.stderr, "Following order-events from end")
	succeed(t, orderEnvelope("after"), "publish", "--kafka", addr)
	until(t, &s.stdout, "order-after  order.created.v1  id=e-after  correlation=req-after  {\"orderId\":\"order-after\"")
	s.interrupt()
	if code := s.end(t); code != 0 || strings.Contains(s.stdout.String(), "before") || strings.Count(s.stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d, %s%s", code, &s.stdout, &s.stderr)
	}
}

func TestTailFrom(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	// One key, one partition.
	var input strings.Builder
	for _, id := range []string{"a", "b", "c", "d"} {
		input.WriteString(strings.Replace(orderEnvelope("1"), `"e-1"`, `"`+id+`"`, 1))
	}
	succeed(t, input.String(), "publish", "--kafka", addr)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"start":              {[]string{"--from", "start", "--follow=false"}, "abcd"},
		"the last two":       {[]string{"--from", "-2", "--follow=false"}, "cd"},
		"more than there is": {[]string{"--from", "-99", "--follow=false"}, "abcd"},
		"a number of them":   {[]string{"--from", "start", "--count", "3"}, "abc"},
		"all of them":        {[]string{"--from=-3", "--count", "3", "--follow=false"}, "bcd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stdout, _ := pipe(t, "", append([]string{"tail", "order-events", "--kafka", addr}, test.args...)...)
			var got string
			for line := range strings.Lines(stdout) {
				_, after, _ := strings.Cut(line, "id=")
				got += after[:1]
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTailOfNothing(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	for _, from := range []string{"end", "start"} {
		code, stdout, stderr := pipe(t, "", "tail", "order-events", "--from", from, "--follow=false", "--kafka", addr)
		if code != exitNothing || stdout != "" || !strings.Contains(stderr, "no records of order-events from "+from) {
			t.Errorf("exit code %d, %s%s", code, stdout, stderr)
		}
	}
}

func TestTailDoesNotObeyRecords(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	succeed(t, "\x1b]0;owned\a", "publish", "--raw", "--topic", "audit-events", "--kafka", addr)
	for flag, want := range map[string]string{"--raw": "\x1b]0;owned\a", "--json": `"value":"\u001b]0;owned\u0007"`, "--count=1": `\x1b]0;owned\a`} {
		if got := succeed(t, "", "tail", "audit-events", "--from", "start", "--follow=false", "--kafka", addr, flag); !strings.Contains(got, want) {
			t.Errorf("%s printed %q", flag, got)
		}
	}
}

func TestTailOfABrokerThatGoesAway(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort})
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, nil, "tail", "order-events", "--kafka", b.Addr())
	until(t, &s.stderr, "Following")
	start := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if code := s.end(t); code != exitUnreachable || !strings.Contains(s.stderr.String(), b.Addr()) {
		t.Errorf("exit code %d, %s", code, &s.stderr)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
