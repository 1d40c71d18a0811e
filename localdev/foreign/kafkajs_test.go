package foreign_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// orders is how many events the load test sends.
const orders = 10_000

// TestLoadByKafkajs runs the tutorial's load test.
func TestLoadByKafkajs(t *testing.T) {
	needs(t, "kcat", "node")
	needsModules(t)
	m := start(t, nil, nil)
	began := time.Now()

	loaded := load(t, m)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	requested := m.awaitRequested(t, orders)
	t.Logf("%d notifications asked for %s after the start of the load", len(requested), since(began))
	m.awaitSent(t, orders)
	t.Logf("all delivered %s after the start of the load", since(began))

	requested = m.notifications(t, requestedType)
	if ids := distinct(requested, notification.identity); len(requested) != orders || len(ids) != orders {
		t.Errorf("%d notifications of %d ids, want %d of as many", len(requested), len(ids), orders)
	}
}

// TestKillUnderLoadByKafkajs kills everything while the load test runs, and starts it again on the kept data.
func TestKillUnderLoadByKafkajs(t *testing.T) {
	needs(t, "kcat", "node")
	needsModules(t)
	m := start(t, []string{"--data", t.TempDir()}, nil)

	loaded := load(t, m)
	m.awaitRequested(t, orders/10)
	m.kill(t)
	m.launch(t)
	survived := len(m.notifications(t, requestedType))
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	m.awaitSent(t, orders)
	t.Logf("killed with about %d notifications asked for", survived)
	if survived >= orders {
		t.Errorf("the kill came after the work was done: nothing was tested")
	}

	ids := map[string]map[string]bool{}
	requested := m.notifications(t, requestedType)
	for _, n := range requested {
		if ids[n.subject] == nil {
			ids[n.subject] = map[string]bool{}
		}
		ids[n.subject][n.id] = true
	}
	t.Logf("%d notifications for %d orders", len(requested), len(ids))
	if len(ids) != orders {
		t.Errorf("notifications for %d orders, want %d", len(ids), orders)
	}
	for subject, of := range ids {
		if len(of) != 1 {
			t.Errorf("%s has %d ids, want 1", subject, len(of))
		}
	}
}

// needsModules skips the test unless npm ci has been run.
func needsModules(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("node_modules/kafkajs"); err != nil {
		t.Skipf("needs kafkajs: %v; run npm ci in localdev/foreign", err)
	}
}

// load starts the load test. The channel tells how it ended.
func load(t *testing.T, m *millrace) <-chan error {
	t.Helper()
	said := &output{}
	node := exec.CommandContext(t.Context(), "node", "load-test.js")
	node.Env = append(os.Environ(), "KAFKA_BROKERS="+m.kafka)
	node.Stdout, node.Stderr = said, said
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	t.Cleanup(func() {
		t.Logf("load-test.js: %s", strings.Join(strings.Fields(said.String()), " "))
	})
	return ended
}
