package foreign_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startOnLambda starts millrace dev with each function behind an emulated trigger.
func startOnLambda(t *testing.T, args ...string) *millrace {
	t.Helper()
	ports := freePorts(t, 5)
	m := &millrace{
		kafka: "127.0.0.1:" + ports[0],
		args: append([]string{
			"dev", "--door", "lambda", "--kafka-port", ports[0], "--smtp-port", ports[1], "--webhook-port", ports[2],
			"--payment-port", ports[3], "--api-addr", "127.0.0.1:" + ports[4],
		}, args...),
	}
	m.run(t)
	return m
}

// TestLoadByKafkajsOnLambda runs the tutorial's load test against the functions' programs behind emulated triggers.
//
//nolint:paralleltest // The load takes the whole machine; others would wait in vain.
func TestLoadByKafkajsOnLambda(t *testing.T) {
	needs(t, "kcat", "node")
	needsModules(t)
	m := startOnLambda(t)
	m.awaitTriggers(t)
	began := time.Now()

	startLoad(t, m).wait(t)
	m.awaitRequested(t, orders)
	t.Logf("all notifications asked for %s after the start of the load", since(began))
	m.awaitSent(t, orders)
	t.Logf("all delivered %s after the start of the load", since(began))

	requested := m.notifications(t, requestedType)
	if ids := distinct(requested, notification.identity); len(requested) != orders || len(ids) != orders {
		t.Errorf("%d notifications of %d ids, want %d of as many", len(requested), len(ids), orders)
	}
}

// killEvery is how often a process of a function is killed.
const killEvery = 100 * time.Millisecond

// TestKilledFunctionsUnderLoadByKafkajs kills processes of functions at random while the load test runs and its orders are
// worked off.
//
//nolint:paralleltest // The load takes the whole machine; others would wait in vain.
func TestKilledFunctionsUnderLoadByKafkajs(t *testing.T) {
	needs(t, "kcat", "node")
	needsModules(t)
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skipf("finds the processes of functions by /proc: %v", err)
	}
	m := startOnLambda(t)
	m.awaitTriggers(t)
	load := startLoad(t, m)
	killed, stop := 0, time.NewTicker(killEvery)
	defer stop.Stop()
	for done := false; !done; {
		select {
		case <-stop.C:
			killed += m.killFunction(t)
		case <-load.done:
			done = true
		}
	}
	load.wait(t)
	for range 20 {
		<-stop.C
		killed += m.killFunction(t)
	}
	m.awaitSent(t, orders)
	if killed < 10 {
		t.Errorf("%d processes were killed: nothing was tested", killed)
	}

	requested := m.notifications(t, requestedType)
	t.Logf("%d processes were killed, %d notifications were asked for", killed, len(requested))
	checkOneIDForEachOrder(t, requested)
}

// awaitTriggers waits until the triggers poll: the programs are built first.
func (m *millrace) awaitTriggers(t *testing.T) {
	t.Helper()
	began := time.Now()
	eventually(t, "the triggers", func() bool { return strings.Contains(m.output.String(), "Ctrl-C ends") })
	t.Logf("the triggers poll after %s", since(began))
}

// killFunction kills one process of a function, and returns how many it killed.
func (m *millrace) killFunction(t *testing.T) int {
	t.Helper()
	functions := children(t, m.process.Process.Pid)
	if len(functions) == 0 {
		return 0
	}
	victim, err := os.FindProcess(functions[rand.IntN(len(functions))])
	if err != nil || victim.Kill() != nil {
		return 0 // it has ended meanwhile
	}
	return 1
}

// children are the processes that a process has started and that run the program of a function.
func children(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …, where the name may hold anything
		_, after, _ := strings.Cut(string(text), "(bootstrap) ")
		fields := strings.Fields(after)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}
