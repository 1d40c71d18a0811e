package consumergroup_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelChecks is how many histories TestRandomHistoriesKeepTheLaws plays, unless MILLRACE_MODEL_CHECKS says otherwise.
const modelChecks = "250"

// TestRandomHistoriesKeepTheLaws has a group live through random histories, and compares what its handlers, commits and
// topics tell with a model of the laws: journal. A history is some records whose handlers succeed, fail, panic, take long
// or find a dependency down, settings, and what befalls members and brokers; its members are real, its cluster is kfake.
//
// The time is simulated: a history of minutes takes some 20 ms. testing/synctest cannot do that here, for sarama holds a
// mutex while it waits for an answer, and then the time of a bubble stands still. The test therefore builds this package
// once more with the tag faketime, by which the Go playground lets time pass whenever no goroutine can go on, and runs
// that. It takes a minute where the standard library was not yet built so, and later a few seconds.
//
// rapid shrinks a history that fails and keeps it in testdata/rapid, from where it is played first the next time. A long
// run, of as many histories as are wanted:
//
//	MILLRACE_MODEL_CHECKS=100000 go test -run RandomHistories -timeout 0 ./runtime/consumergroup
//
// -v prints what happened in the smallest history that failed.
func TestRandomHistoriesKeepTheLaws(t *testing.T) {
	if os.Getenv(simulatedVariable) != "" {
		if err := lived(t.Context(), leftWhileOthersWork); err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, keepsTheLaws)
		return
	}
	if testing.Short() {
		t.Skip("builds and runs a test binary of its own")
	}
	t.Parallel()
	out, err := playSimulated(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// simulatedVariable is set for the process whose time is simulated.
const simulatedVariable = "MILLRACE_MODEL_SIMULATED"

// playSimulated builds the test binary with simulated time and has it run the calling test.
func playSimulated(t *testing.T) (out string, err error) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "simulated.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "faketime", "-o", binary, ".")
	// Simulated time stands still where cgo is linked.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return string(out), err
	}
	ctx, cancel := t.Context(), context.CancelFunc(func() {})
	if deadline, ok := t.Deadline(); ok {
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-10*time.Second))
	}
	defer cancel()
	// The times are simulated ones, and never to be reached.
	run := exec.CommandContext(ctx, binary, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1000000h", "-rapid.shrinktime=100000h",
		"-rapid.checks="+cmp.Or(os.Getenv("MILLRACE_MODEL_CHECKS"), modelChecks))
	// One processor makes it more likely that a history happens again as it did.
	run.Env = append(os.Environ(), simulatedVariable+"=1", "GOMAXPROCS=1")
	raw, err := run.CombinedOutput()
	return withoutTimes(raw), err
}

// withoutTimes returns what was written in simulated time without the headers that tell the time of each write.
func withoutTimes(raw []byte) string {
	var b strings.Builder
	for {
		before, after, found := bytes.Cut(raw, []byte{0, 0, 'P', 'B'})
		b.Write(before)
		if !found || len(after) < 12 {
			return b.String()
		}
		n := min(int(binary.BigEndian.Uint32(after[8:])), len(after)-12)
		b.Write(after[12 : 12+n])
		raw = after[12+n:]
	}
}

func keepsTheLaws(t *rapid.T) {
	if err := lived(t.Context(), histories().Draw(t, "history")); err != nil {
		t.Fatal(err)
	}
}

// lived plays a history and says which laws it broke.
func lived(ctx context.Context, h *history) error {
	w, err := newWorld(h)
	if err != nil {
		return err
	}
	err = w.play(ctx)
	w.close()
	if err != nil {
		return err
	}
	if violations, log := w.journal.verdict(); len(violations) > 0 {
		return fmt.Errorf("%s\n%s\n%s", strings.Join(violations, "\n"), h, log)
	}
	return nil
}

// leftWhileOthersWork is a history in which a member joins, and ends before the other one has drained and joined too: see sessions.
var leftWhileOthersWork = &history{
	settings: settings{Partitions: 2, Workers: 2, Window: 10, Attempts: 1, Eager: true, Static: true,
		Backoff: time.Second, Interval: 200 * time.Millisecond, Session: 6 * time.Second, Drain: 10 * time.Second},
	records: []deed{{key: "a", takes: 8 * time.Second, kind: plain}, {partition: 1, key: "b", late: true, kind: plain}},
	actions: []action{
		{after: time.Second, what: starts, slot: 1},
		{after: 100 * time.Millisecond, what: stops, slot: 1},
		{after: 30 * time.Second, what: produces},
	},
}
