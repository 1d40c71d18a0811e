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
//
//nolint:paralleltest // The load takes the whole machine; others would wait in vain.
func TestLoadByKafkajs(t *testing.T) {
	needs(t, "kcat", "node")
	needsModules(t)
	m := start(t, nil, nil)
	began := time.Now()

	startLoad(t, m).wait(t)
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
//
//nolint:paralleltest // The load takes the whole machine; others would wait in vain.
func TestKillUnderLoadByKafkajs(t *testing.T) {
	needs(t, "kcat", "node")
	needsModules(t)
	m := start(t, []string{"--data", t.TempDir()}, nil)
	load := startLoad(t, m)

	load.await(t, "Sent 4000 messages")
	m.kill(t)
	if load.ended() {
		t.Error("the kill came after the load: nothing was tested")
	}
	m.launch(t)
	atRestart := len(m.notifications(t, requestedType))
	load.wait(t)
	m.awaitSent(t, orders)

	requested := m.notifications(t, requestedType)
	t.Logf("%d notifications just after the restart, %d in the end", atRestart, len(requested))
	checkOneIDForEachOrder(t, requested)
}

// checkOneIDForEachOrder checks that every order is notified of, each time with the same id.
func checkOneIDForEachOrder(t *testing.T, requested []notification) {
	t.Helper()
	ids := map[string]map[string]bool{}
	for _, n := range requested {
		if ids[n.subject] == nil {
			ids[n.subject] = map[string]bool{}
		}
		ids[n.subject][n.id] = true
	}
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

// loadTest is a run of load-test.js.
type loadTest struct {
	output output
	done   chan struct{}
	err    error // once done is closed
}

func startLoad(t *testing.T, m *millrace) *loadTest {
	t.Helper()
	load := &loadTest{done: make(chan struct{})}
	node := exec.CommandContext(t.Context(), "node", "load-test.js")
	// The warning that kafkajs once changed its partitioner is of no use here.
	node.Env = append(os.Environ(), "KAFKA_BROKERS="+m.kafka, "KAFKAJS_NO_PARTITIONER_WARNING=1")
	node.Stdout, node.Stderr = &load.output, &load.output
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(load.done)
		load.err = node.Wait()
	}()
	t.Cleanup(func() { t.Logf("load-test.js said:\n%s", &load.output) })
	return load
}

// await waits until the load test prints a text.
func (l *loadTest) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, "load-test.js to say "+text, func() bool { return strings.Contains(l.output.String(), text) })
}

func (l *loadTest) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// wait waits until the load test has sent everything.
func (l *loadTest) wait(t *testing.T) {
	t.Helper()
	<-l.done
	if l.err != nil {
		t.Fatalf("load-test.js: %v", l.err)
	}
}
