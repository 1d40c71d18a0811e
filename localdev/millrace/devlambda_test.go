package main

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// startDevOnLambda starts millrace dev with functions behind emulated triggers.
func startDevOnLambda(t *testing.T, args ...string) *running {
	t.Helper()
	needsFunctions(t)
	r := &running{ended: make(chan int, 1)}
	r.begin(append([]string{"dev", "--door", "lambda", "--kafka-port", "0", "--smtp-port", "0", "--webhook-port", "0", "--payment-port", "0", "--api-addr", "127.0.0.1:0"}, args...))
	t.Cleanup(func() {
		r.interrupt()
		<-r.ended
		if t.Failed() {
			t.Logf("millrace dev said:\n%s\n%s", &r.stdout, &r.stderr)
		}
	})
	return r
}

func TestDevOnLambdaShowsTheChainOfASampleOrder(t *testing.T) {
	t.Parallel()
	r := startDevOnLambda(t, "--demo")
	begin := time.Now()
	var mail []string
	runtimetest.Eventually(t, "the first mail", func() bool {
		mail = delivered.FindStringSubmatch(r.stdout.String())
		return mail != nil
	})
	t.Logf("the first mail came after %s", time.Since(begin))
	runtimetest.Eventually(t, "a text message", func() bool { return strings.Contains(r.stdout.String(), "  sms ") })
	r.leave(t)
	shown := r.stdout.String()
	for _, want := range []string{
		"11 functions", "behind emulated MSK triggers, in the 11 consumer groups of ", "template.yaml", "Ending",
		mail[1] + "  OrderCreated ", "→ NotificationRequested", mail[1] + "  NotificationRequested ", "→ 2 published",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("nothing shown has %q", want)
		}
	}
	if strings.Contains(shown, "Health") {
		t.Error("the banner promises health, which nobody serves")
	}
	if r.stderr.String() != "" {
		t.Errorf("on standard error: %s", &r.stderr)
	}
}

// A record that is no event, and one of a type that no function takes, are shown as behind the other door.
func TestDevOnLambdaShowsWhatFails(t *testing.T) {
	t.Parallel()
	r := startDevOnLambda(t, "--json")
	runtimetest.Eventually(t, "the start", func() bool { return strings.Contains(r.stdout.String(), `"door":"lambda"`) })
	_, rest, _ := strings.Cut(r.stdout.String(), `"kafka":["`)
	addr, _, _ := strings.Cut(rest, `"`)
	send(t, addr, "garbage")
	runtimetest.Eventually(t, "the dead letter", func() bool { return strings.Contains(r.stdout.String(), `"outcome":"dead-letter"`) })
	send(t, addr, strings.ReplaceAll(envelope, "OrderCreated", "OrderLost"))
	runtimetest.Eventually(t, "the event that nobody takes", func() bool { return strings.Contains(r.stdout.String(), `"outcome":"dropped"`) })
	r.leave(t)
}

func TestDevOnLambdaNeedsATemplate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		template, want string
	}{
		"no template":  {"none.yaml", "none.yaml: no such file or directory\nTry: --template FILE"},
		"no functions": {writeTemplate(t, "order-created", ""), "no function has an event source of Kafka that is enabled"},
	} {
		code, stdout, stderr := pipe(t, "", "dev", "--door", "lambda", "--template", test.template)
		if code == 0 || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
}
