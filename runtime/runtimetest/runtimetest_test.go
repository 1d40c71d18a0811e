package runtimetest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecordsComeByPartitionAndOffset(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 3)

	broker.ProduceTo(t, topic, 2, value("c0"), value("c1"))
	broker.ProduceTo(t, topic, 0, value("a0"))

	if diff := cmp.Diff([]string{"0@0=a0", "2@0=c0", "2@1=c1"}, places(broker.Records(t, topic, 2))); diff != "" {
		t.Errorf("records, also beyond the two that were waited for (-want +got):\n%s", diff)
	}
}

func TestRecordsOfAnEmptyTopic(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	if got := broker.Records(t, broker.NewTopic(t, 2), 0); len(got) != 0 {
		t.Errorf("got %v", places(got))
	}
}

func TestRecordsKeepBytes(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	written := []*kgo.Record{
		{Headers: []kgo.RecordHeader{{Key: "h", Value: nil}, {Key: "h", Value: []byte{}}, {Key: "", Value: []byte{0, 255}}}},
		{Key: []byte{}, Value: []byte{}},
	}
	broker.ProduceTo(t, topic, 0, written...)

	for i, got := range broker.Records(t, topic, len(written)) {
		want := written[i]
		if diff := cmp.Diff([]any{want.Key, want.Value, want.Headers}, []any{got.Key, got.Value, got.Headers}); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestProduceChoosesPartitionsAsJavaDoes(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 3)

	for i := range 4 {
		broker.Produce(t, topic, &kgo.Record{Key: fmt.Appendf(nil, "order-%d", i)})
	}
	got := map[string]int32{}
	for _, r := range broker.Records(t, topic, 4) {
		got[string(r.Key)] = r.Partition
	}
	// Utils.toPositive(Utils.murmur2(key)) % 3 of org.apache.kafka:kafka-clients:4.1.1.
	want := map[string]int32{"order-0": 1, "order-1": 1, "order-2": 0, "order-3": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
}

func TestRecordsLeaveOutAbortedTransactions(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)

	transact(t, broker, topic, "kept", kgo.TryCommit)
	transact(t, broker, topic, "aborted", kgo.TryAbort)

	if diff := cmp.Diff([]string{"0@0=kept"}, places(broker.Records(t, topic, 1))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestCommits(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic, group := broker.NewTopic(t, 3), runtimetest.UniqueName(t)

	if got := broker.Committed(t, group, topic); len(got) != 0 {
		t.Errorf("a group that does not exist has committed %v", got)
	}
	want := map[int32]runtimetest.Commit{0: {Offset: 5}, 2: {Offset: 0, Metadata: "beyond: 3"}}
	broker.SetCommits(t, group, topic, want)
	if diff := cmp.Diff(want, broker.Commits(t, group, topic)); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	broker.AwaitCommitted(t, group, topic, map[int32]int64{0: 5, 2: 0})
}

func TestEmbeddedFaults(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, &runtimetest.Options{Brokers: 2})
	topic := broker.NewTopic(t, 1)
	hits := broker.Embedded(t).Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotLeaderForPartition,
	})
	broker.Produce(t, topic, value("v"))
	if hits.Hits() != 1 {
		t.Errorf("the fault was hit %d times", hits.Hits())
	}
	if len(broker.Addrs) != 2 {
		t.Errorf("addresses of two brokers: %v", broker.Addrs)
	}
}

func TestOnlyARealClusterSkips(t *testing.T) {
	t.Setenv(runtimetest.AddressVariable, runtimetest.Kafka(t, nil).Addrs[0])

	shared := runtimetest.Kafka(t, nil)
	topic := shared.NewTopic(t, 1)
	shared.Produce(t, topic, value("v"))
	shared.Records(t, topic, 1)

	for name, use := range map[string]func(testing.TB){
		"Embedded": func(t testing.TB) { shared.Embedded(t) },
		"Options": func(t testing.TB) {
			runtimetest.Kafka(t, &runtimetest.Options{Embedded: []kfake.Opt{kfake.SyncWrites()}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if !t.Skipped() {
					t.Error("not skipped although the cluster is not an embedded one")
				}
			}()
			use(t)
		})
	}
}

func TestUniqueName(t *testing.T) {
	t.Parallel()
	t.Run("with spaces/and ü, "+strings.Repeat("long", 100), func(t *testing.T) {
		t.Parallel()
		a, b := runtimetest.UniqueName(t), runtimetest.UniqueName(t)
		if a == b || len(a) > 249 || !strings.HasPrefix(a, "TestUniqueName-with_spaces-and_") {
			t.Errorf("names %q and %q", a, b)
		}
	})
}

func TestEventually(t *testing.T) {
	t.Parallel()
	calls := 0
	runtimetest.Eventually(t, "third call", func() bool { calls++; return calls == 3 })
	if calls != 3 {
		t.Errorf("called %d times", calls)
	}
}

func value(v string) *kgo.Record { return &kgo.Record{Value: []byte(v)} }

func places(records []*kgo.Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, fmt.Sprintf("%d@%d=%s", r.Partition, r.Offset, r.Value))
	}
	return out
}

func transact(t *testing.T, b *runtimetest.Broker, topic, v string, end kgo.TransactionEndTry) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs...), kgo.TransactionalID(runtimetest.UniqueName(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(context.Background(), end); err != nil {
		t.Fatal(err)
	}
}
