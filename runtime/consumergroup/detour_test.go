package consumergroup_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/rawbatch"
)

// bomb writes a batch of 128 MiB of zeroes, decompressed, to a partition.
func (b *bundle) bomb(t *testing.T, codec rawbatch.Codec, partition int32) {
	t.Helper()
	batch, err := rawbatch.Bomb(codec, 128<<20)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := rawbatch.Produce(t.Context(), client, b.topic, partition, batch); err != nil {
		t.Fatal(err)
	}
}

func TestABatchThatIsTooLargeIsBuriedByItsCoordinatesAndPassed(t *testing.T) {
	t.Parallel()
	for _, codec := range []rawbatch.Codec{rawbatch.Gzip, rawbatch.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			b := setup(t, 2, func(context.Context, event.Event) error { return nil })
			b.ProduceTo(t, b.topic, 0, record("before", "k"))
			b.bomb(t, codec, 0)
			b.bomb(t, codec, 0)
			b.ProduceTo(t, b.topic, 0, record("after", "k"))
			b.start(t)
			for i := range 20 {
				b.ProduceTo(t, b.topic, 1, record(fmt.Sprintf("other-%d", i), "o"))
			}
			b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 4, 1: 20})

			letters := b.buried()
			if len(letters) != 2 {
				t.Fatalf("%d dead letters, want 2", len(letters))
			}
			for i, f := range letters {
				if f.Record.Offset != int64(i+1) || !f.Lost || f.LastOffset != int64(i+1) || f.Class != function.ClassTooLarge || f.Record.Value != nil {
					t.Errorf("dead letter of %s, class %s, lost %t up to %d", f.Record, f.Class, f.Lost, f.LastOffset)
				}
			}
			if err := b.stuckAt(b.topic, 0); err == nil || !strings.Contains(err.Error(), b.topic+"/0: the batch of offsets 2 to 2") {
				t.Errorf("readiness says %v", err)
			}
			if n := len(b.ids()); n != 22 {
				t.Errorf("%d events were handled, want 22", n)
			}
		})
	}
}

func TestADeadLetterOfALostBatchComesBeforeItsCommit(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, func(context.Context, event.Event) error { return nil })
	b.writeErr = fmt.Errorf("the dead letter topic is away")
	b.bomb(t, rawbatch.Zstd, 0)
	b.ProduceTo(t, b.topic, 0, record("after", "k"))
	b.start(t)
	b.awaitHandled(t, 1)
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 0})
	b.mu.Lock()
	b.writeErr = nil
	b.mu.Unlock()
	b.AwaitCommitted(t, b.group, b.topic, map[int32]int64{0: 2})
	runtimetest.Eventually(t, "a dead letter", func() bool { return len(b.buried()) == 1 })
}
