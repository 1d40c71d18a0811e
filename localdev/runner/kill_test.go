package runner_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// childDir names the data folder of the process that a test kills.
const childDir = "MILLRACE_TEST_RUNNER_DIR"

// runChild is a system in a process of its own. It prints the address of its broker when it has started.
func runChild(dir string) {
	o := runner.Options{Data: dir, Lookup: environ(nil), Started: func(s runner.System) { fmt.Println(s.Kafka.Brokers[0]) }}
	anywhere(&o)
	if err := runner.Run(context.Background(), &o); err != nil {
		fmt.Println("error", err)
	}
}

func TestAKilledSystemLosesNothing(t *testing.T) {
	t.Parallel()
	const orders = 2000
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("the child said %q: %v", line, err)
	}
	client := connect(t, strings.TrimSpace(line))
	for i := range orders {
		r := ordered(i, fmt.Sprintf("customer-%d", i%100))
		client.Produce(t.Context(), r, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtimetest.Eventually(t, "work in progress", func() bool { return notified(t, client) > 0 })
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	client.Close()

	if n := survived(t, dir); n >= orders {
		t.Errorf("there were %d records about notifications when the kill came: nothing was tested", n)
	}
	b := run(t, runner.Options{Data: dir})
	var ids map[string]map[string]bool
	runtimetest.Eventually(t, "a notification for each order", func() bool {
		ids = map[string]map[string]bool{}
		for _, r := range read(t, b.Kafka.Brokers, "notification-events", int(notified(t, b.client))) {
			if header(r, "ce_type") != notification.RequestedType {
				continue
			}
			order := header(r, "ce_causationid")
			if ids[order] == nil {
				ids[order] = map[string]bool{}
			}
			ids[order][header(r, "ce_id")] = true
		}
		return len(ids) == orders
	})
	for order, of := range ids {
		if len(of) != 1 {
			t.Errorf("%s has notifications of %d ids, want 1", order, len(of))
		}
	}
}

// survived is the number of records about notifications in a folder that nobody uses.
func survived(t *testing.T, dir string) int64 {
	t.Helper()
	b, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client := connect(t, b.Addr())
	defer client.Close()
	return notified(t, client)
}

// notified is the number of records about notifications.
func notified(t *testing.T, client *cluster.Client) (n int64) {
	t.Helper()
	spans, err := client.Offsets(t.Context(), "notification-events")
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range spans["notification-events"] {
		n += span.End - span.Start
	}
	return n
}
