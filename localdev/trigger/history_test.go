package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// journal is what happened to the records of a history.
type journal struct {
	mu   sync.Mutex
	rand *rand.Rand
	// sent and done are how often each record was sent, and handled with success; gone tells which were given up.
	sent, done map[place]int
	gone       map[place]bool
	calls, bad int
	problems   []string
}

type place struct {
	partition int32
	offset    int64
}

func (j *journal) problemf(format string, args ...any) {
	if len(j.problems) < 10 {
		j.problems = append(j.problems, fmt.Sprintf(format, args...))
	}
}

// poison tells which records never succeed.
func poison(offset int64) bool { return offset%41 == 17 }

// function fails at random: as a whole, the service, or some of the records; and it takes its time.
func (j *journal) function(running *[3]atomic.Int32) lambda {
	return func(ctx context.Context, e event) (string, error) {
		var partitions []int32
		for _, records := range e.Records {
			p := records[0].Partition
			partitions = append(partitions, p)
			if running[p].Add(1) > 1 {
				j.mu.Lock()
				j.problemf("partition %d is in two invocations of one member", p)
				j.mu.Unlock()
			}
		}
		defer func() {
			for _, p := range partitions {
				running[p].Add(-1)
			}
		}()
		j.mu.Lock()
		how, takes := j.rand.IntN(100), time.Duration(j.rand.IntN(int(4*time.Millisecond)))
		j.note(e)
		j.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case how < 15:
			j.bad++
			return "", errors.New("failed")
		case how < 25:
			j.bad++
			return "", fmt.Errorf("%w", errService)
		case how < 30:
			j.bad++
			return "not JSON", nil
		}
		return failing(e, func(r record) bool {
			if poison(r.Offset) || how < 60 && j.rand.IntN(4) == 0 {
				return true
			}
			j.done[place{r.Partition, r.Offset}]++
			return false
		}), nil
	}
}

// note checks that no record is sent before the one in front of it was.
func (j *journal) note(e event) {
	j.calls++
	for _, records := range e.Records {
		last := int64(-1)
		for _, r := range records {
			at := place{r.Partition, r.Offset}
			if j.sent[at] == 0 && r.Offset > 0 && j.sent[place{r.Partition, r.Offset - 1}] == 0 {
				j.problemf("%v was sent before the record in front of it", at)
			}
			if r.Offset <= last {
				j.problemf("%v stands behind %d in an event", at, last)
			}
			last = r.Offset
			j.sent[at]++
		}
	}
}

func (j *journal) observe(e trigger.Event) {
	if e.Kind != trigger.Delivered {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range e.Records {
		for offset := r.First; offset <= r.Last; offset++ {
			j.gone[place{r.Partition, offset}] = true
		}
	}
}

// check looks for records that are committed and neither done nor given up.
func (j *journal) check(commits map[int32]int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for partition, next := range commits {
		for offset := range next {
			if at := (place{partition, offset}); j.done[at] == 0 && !j.gone[at] {
				j.problemf("%v is committed and was not done", at)
			}
		}
	}
}

// member is a mapping that runs, and its network.
type member struct {
	stop    func()
	network *network
}

// Members come, go, and are cut off; the function fails in each way; the producer goes on. Nothing is lost, nothing is
// committed early, and no record overtakes another.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			history(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

const historyRecords = 300

func history(t *testing.T, random *rand.Rand) {
	t.Helper()
	b := newBench(t, 3)
	failed := b.broker.NewTopic(t, 1)
	j := &journal{rand: rand.New(rand.NewPCG(random.Uint64(), 1)), sent: map[place]int{}, done: map[place]int{}, gone: map[place]bool{}}
	b.spec.BatchSize, b.spec.Window = 1+random.IntN(30), time.Duration(random.IntN(30))*time.Millisecond
	b.spec.Bisect, b.spec.MaxAttempts, b.spec.OnFailure = random.IntN(2) == 0, 6, "kafka://"+failed
	b.opts.Observe, b.opts.Drain = j.observe, 500*time.Millisecond
	if os.Getenv(runtimetest.AddressVariable) == "" {
		b.opts.SessionTimeout = 600 * time.Millisecond
	}
	var members []member
	join := func() {
		n := newNetwork()
		o := b.opts
		o.Kafka.Dial = n.dial
		members = append(members, member{b.startInvoker(o, j.function(new([3]atomic.Int32))), n})
	}
	join()
	changes := 0
	for written := 0; written < historyRecords; {
		n := min(random.IntN(30), historyRecords-written)
		for p := range int32(3) {
			b.produce(p, numbers(written, written+n)...)
		}
		written += n
		i := random.IntN(len(members))
		switch how := random.IntN(10); {
		case how < 2 && len(members) < 3:
			changes++
			join()
		case how < 4 && len(members) > 1:
			changes++
			members[i].stop()
			members = append(members[:i], members[i+1:]...)
		case how < 5:
			changes++
			members[i].network.cut()
		case how < 8:
			members[i].network.mend()
		}
		j.check(b.broker.Committed(t, b.spec.Group, b.topic))
	}
	for _, m := range members {
		m.network.mend()
	}
	b.committed(map[int32]int64{0: historyRecords, 1: historyRecords, 2: historyRecords})
	for _, m := range members {
		m.stop()
	}
	j.check(b.broker.Committed(t, b.spec.Group, b.topic))
	j.finish(t, b.broker.Records(t, failed, 1), changes)
}

// finish judges the history, and that enough has happened in it.
func (j *journal) finish(t *testing.T, letters []*kgo.Record, changes int) {
	t.Helper()
	for _, p := range j.problems {
		t.Error(p)
	}
	buried := map[place]bool{}
	for _, l := range letters {
		buried[placeOf(t, l.Value)] = true
	}
	for partition := range int32(3) {
		for offset := range int64(historyRecords) {
			at := place{partition, offset}
			if j.done[at] == 0 && !buried[at] {
				t.Errorf("%v was lost", at)
			}
			if poison(offset) && !buried[at] {
				t.Errorf("%v always fails, and is not at the destination", at)
			}
		}
	}
	if changes < 2 || j.bad < 10 || len(buried) < 3*historyRecords/41 {
		t.Errorf("too little happened: %d changes of members, %d calls, %d of them bad, %d given up", changes, j.calls, j.bad, len(buried))
	}
}

// placeOf reads from a document for the destination which record it is about.
func placeOf(t *testing.T, document []byte) place {
	t.Helper()
	l := parseLetter(t, document)
	at := place{}
	if _, err := fmt.Sscan(l.KafkaBatchInfo.RecordInfo.Offset, &at.offset); err != nil {
		t.Fatal(err)
	}
	for name := range l.Payload.(map[string]any)["records"].(map[string]any) {
		if _, err := fmt.Sscan(name[strings.LastIndex(name, "-")+1:], &at.partition); err != nil {
			t.Fatal(err)
		}
	}
	return at
}
