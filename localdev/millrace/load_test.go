package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	ordercreated "github.com/millrace/millrace/functions/order-created"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
)

// answerOrders runs order-created until the test ends.
func answerOrders(t *testing.T, addr string) {
	t.Helper()
	lookup := func(key string) (string, bool) {
		value, ok := map[string]string{"KAFKA_BROKERS": addr, "HTTP_ADDR": "off"}[key]
		return value, ok
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, lookup, []function.Spec{ordercreated.Spec}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Started: func() { close(started) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-started
}

func TestLoadPrintsWhatTheTutorialPrints(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	answerOrders(t, addr)
	printed := succeed(t, "", "load", "--count", "2100", "--kafka", addr)
	rest := printed
	for _, want := range []string{
		"Starting Kafka load test...\nSent 1000 messages...\nSent 2000 messages...\nLoad test completed!\nTotal messages: 2100\nDuration: ",
		"ms\nMessages per second: ", "\nWaiting for the functions...\nNotifications: 2100 of 2100 (0 missing, 0 duplicates, 0 extra)\n",
		"End to end: p50 ", ", p95 ", ", p99 ",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("printed %s\nwithout %q", printed, want)
		}
		rest = after
	}
	var result loadJSON
	line := succeed(t, "", "load", "--count", "10", "--json", "--kafka", addr)
	if err := json.Unmarshal([]byte(line), &result); err != nil || strings.Count(line, "\n") != 1 {
		t.Fatalf("%v: %s", err, line)
	}
	if result.Messages != 10 || result.Answers == nil || result.Answers.Matched != 10 || result.Answers.P99 <= 0 {
		t.Errorf("printed %s", line)
	}
}

func TestLoadFailsWhereNotificationsAreMissing(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := say(t, "load", "--count", "5", "--timeout", "50ms", "--kafka", kafka(t))
	if code != exitFailed || !strings.Contains(stdout, "Notifications: 0 of 5 (5 missing") ||
		!strings.Contains(stderr, "5 of 5 orders led to no notification within 50ms\nTry: millrace dev") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestLoadWithoutWaiting(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	if printed := succeed(t, "", "load", "--count", "5", "--no-wait", "--kafka", addr); strings.Contains(printed, "Notifications") ||
		!strings.Contains(printed, "Total messages: 5\n") {
		t.Errorf("printed %s", printed)
	}
	if printed := succeed(t, "", "load", "--count", "5", "--no-wait", "--json", "--kafka", addr); !strings.Contains(printed, `"answers":null`) {
		t.Errorf("printed %s", printed)
	}
}

func TestLoadIsInterrupted(t *testing.T) {
	t.Parallel()
	s := begin(t, nil, "load", "--count", "5", "--kafka", kafka(t))
	until(t, &s.stdout, "Waiting for the functions...")
	s.interrupt()
	if code := s.end(t); code != exitInterrupted || s.stderr.String() != "millrace: interrupted\n" {
		t.Errorf("exit code %d, %s", code, &s.stderr)
	}
}
