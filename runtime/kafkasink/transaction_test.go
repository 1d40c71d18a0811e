package kafkasink_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// openTransactor returns a transactor that is closed when the test ends.
func openTransactor(t testing.TB, broker *runtimetest.Broker, id string, o *kafkasink.Options) *kafkasink.Transactor {
	t.Helper()
	tr, err := kafkasink.OpenTransactor(kafkaclient.Config{Brokers: broker.Addrs}, "test", id, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tr
}

// prepare returns the records of n events whose ids are numbers from first, with a third of the ids as keys.
func prepare(t testing.TB, tr *kafkasink.Transactor, topic string, first, n int) []kafkasink.Prepared {
	t.Helper()
	records := make([]kafkasink.Prepared, n)
	for i := range n {
		p, err := tr.Prepare(output(topic, newEvent(strconv.Itoa(first+i), "order-"+strconv.Itoa(i/3))))
		if err != nil {
			t.Fatal(err)
		}
		records[i] = p
	}
	return records
}

// batch is what a test commits: events to a topic, and the offset of one partition of an input.
type batch struct {
	broker       *runtimetest.Broker
	topic, input string
	member       *sarama.ConsumerGroupMetadata
}

func newBatch(t *testing.T, broker *runtimetest.Broker) *batch {
	t.Helper()
	return &batch{broker, broker.NewTopic(t, 2), broker.NewTopic(t, 2), sarama.NewConsumerGroupMetadata(runtimetest.UniqueName(t))}
}

// offsets are those of the batch that ends before next.
func (b *batch) offsets(next int) []kafkasink.Offset {
	return []kafkasink.Offset{{Topic: b.input, Partition: 1, Next: int64(next), Metadata: "serial " + strconv.Itoa(next)}}
}

// commit commits the n events from first.
func (b *batch) commit(t *testing.T, tr *kafkasink.Transactor, first, n int) error {
	t.Helper()
	return tr.Commit(t.Context(), prepare(t, tr, b.topic, first, n), b.offsets(first+n), b.member)
}

// check checks that exactly n events can be read, in the order of their keys, and that the group has committed them.
func (b *batch) check(t *testing.T, n int) {
	t.Helper()
	checkOrder(t, b.broker.Records(t, b.topic, n), n)
	want := map[int32]runtimetest.Commit{1: {Offset: int64(n), Metadata: "serial " + strconv.Itoa(n)}}
	if n == 0 {
		want = map[int32]runtimetest.Commit{}
	}
	if diff := cmp.Diff(want, b.broker.Commits(t, b.member.GroupID, b.input)); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
}

// checkNoneOpen checks that the cluster has no transaction of id that is not finished.
func checkNoneOpen(t *testing.T, broker *runtimetest.Broker, id string) {
	t.Helper()
	admin, err := kafkaclient.Config{Brokers: broker.Addrs}.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	runtimetest.Eventually(t, "no transaction is open", func() bool {
		open, err := admin.(sarama.TransactionClusterAdmin).ListTransactions([]string{"Ongoing", "PrepareCommit", "PrepareAbort"}, nil, -1)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(open, func(s sarama.ListTransactionsResponseTransactionState) bool { return s.TransactionalID == id })
	})
}

func wantUnavailable(t *testing.T, err error, words ...string) {
	t.Helper()
	wantVerdict(t, err, function.Broken, append(words, "nothing was committed")...)
	if unavailable, ok := errors.AsType[*function.UnavailableError](err); !ok || unavailable.Dependency != kafkasink.Dependency {
		t.Errorf("%v does not say that kafka is unavailable", err)
	}
}

// TestCommit looks at each transaction right before it ends, when all of it is written, and after.
func TestCommit(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.EndTxn, id)
	for i := range 3 {
		looked := false
		w.next(before(func() {
			looked = true
			if got := len(broker.Records(t, b.topic, 100*i)); got != 100*i {
				t.Errorf("before transaction %d ends, %d records can be read", i, got)
			}
		}))
		if err := b.commit(t, tr, 100*i, 100); err != nil {
			t.Fatal(err)
		}
		if !looked {
			t.Error("the transaction was committed without EndTxn")
		}
	}
	b.check(t, 300)
	checkNoneOpen(t, broker, id)
}

func TestCommitParts(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b := newBatch(t, broker)
	tr := openTransactor(t, broker, runtimetest.UniqueName(t), nil)
	if err := tr.Commit(t.Context(), nil, nil, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	for i := range 3 {
		if err := tr.Commit(t.Context(), prepare(t, tr, b.topic, i, 1), nil, nil); err != nil {
			t.Errorf("records without offsets: %v", err)
		}
		if err := tr.Commit(t.Context(), nil, b.offsets(i+1), b.member); err != nil {
			t.Errorf("offsets without records: %v", err)
		}
	}
	b.check(t, 3)
	if err := tr.Commit(t.Context(), nil, b.offsets(1), nil); err == nil {
		t.Error("offsets without a group were committed")
	}
	long := b.offsets(4)
	long[0].Metadata = strings.Repeat("m", 5000)
	if err := tr.Commit(t.Context(), nil, long, b.member); err != nil && (!strings.Contains(err.Error(), b.input) || function.VerdictOf(err) != function.Retry) {
		t.Errorf("metadata that is too long: %v", err)
	}
}

// TestCommitLarge has one transaction of several topics, with batches that are larger than a topic takes at once, and a
// dead letter that is larger than an event may be.
func TestCommitLarge(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			broker := runtimetest.Kafka(t, nil)
			b, dead := newBatch(t, broker), runtimetest.UniqueName(t)
			broker.CreateTopic(t, dead, 1, map[string]string{"max.message.bytes": "2097152"})
			tr := openTransactor(t, broker, runtimetest.UniqueName(t), &kafkasink.Options{MaxEventBytes: 50_000, Compression: codec})
			records := prepare(t, tr, b.topic, 0, 5000)
			at := time.UnixMilli(1_700_000_000_123)
			m := kafkabinding.Message{Value: make([]byte, 1_900_000), Headers: []kafkabinding.Header{{Key: []byte("h")}, {Value: []byte{}}}}
			letter, err := tr.PrepareRecord(dead, m, at)
			if err != nil {
				t.Fatal(err)
			}
			records = slices.Insert(records, 2500, letter)
			if err := tr.Commit(t.Context(), records, b.offsets(5000), b.member); err != nil {
				t.Fatal(err)
			}
			b.check(t, 5000)
			record := broker.Records(t, dead, 1)[0]
			m.Headers[1].Key = []byte{}
			if diff := cmp.Diff(m, messageOf(record)); diff != "" || !record.Timestamp.Equal(at) {
				t.Errorf("at %s: record (-want +got):\n%s", record.Timestamp, diff)
			}
		})
	}
}

// TestCommitPartitions has keys go where the Sink puts them, and records without one everywhere.
func TestCommitPartitions(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 7)
	sink, tr := open(t, broker, nil), openTransactor(t, broker, runtimetest.UniqueName(t), nil)
	const keys = 50
	var records []kafkasink.Prepared
	for i := range keys {
		m := kafkabinding.Message{Key: []byte("key " + strconv.Itoa(i))}
		p, err := tr.PrepareRecord(topic, m, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, p)
		if err := sink.Produce(t.Context(), topic, m, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Commit(t.Context(), records, nil, nil); err != nil {
		t.Fatal(err)
	}
	partitions := map[string][]int32{}
	for _, r := range broker.Records(t, topic, 2*keys) {
		partitions[string(r.Key)] = append(partitions[string(r.Key)], r.Partition)
	}
	for key, got := range partitions {
		if len(got) != 2 || got[0] != got[1] {
			t.Errorf("key %s is in partitions %v", key, got)
		}
	}

	keyless := slices.Repeat(preparedRaw(t, tr, topic, 1), 100)
	if err := tr.Commit(t.Context(), keyless, nil, nil); err != nil {
		t.Fatal(err)
	}
	used := map[int32]bool{}
	for _, r := range broker.Records(t, topic, 2*keys+100) {
		used[r.Partition] = used[r.Partition] || r.Key == nil
	}
	if len(used) != 7 || slices.Contains(valuesOf(used), false) {
		t.Errorf("partitions with records without a key: %v", used)
	}
}

func valuesOf(m map[int32]bool) []bool {
	var values []bool
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

// preparedRaw returns one record of size bytes without a key.
func preparedRaw(t *testing.T, tr *kafkasink.Transactor, topic string, size int) []kafkasink.Prepared {
	t.Helper()
	p, err := tr.PrepareRecord(topic, kafkabinding.Message{Value: make([]byte, size)}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return []kafkasink.Prepared{p}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	tr := openTransactor(t, broker, runtimetest.UniqueName(t), nil)
	invalid, huge := newEvent("broken", "order-1"), newEvent("huge", "order-1")
	invalid.SetType("")
	huge.DataEncoded = make([]byte, kafkasink.DefaultMaxEventBytes)
	_, err := tr.Prepare(output("orders", invalid))
	wantVerdict(t, err, function.DeadLetter, "orders", "event broken")
	_, err = tr.Prepare(output("orders", huge))
	wantVerdict(t, err, function.DeadLetter, "orders", "event huge", "1048576")
	if permanent, ok := errors.AsType[*function.PermanentError](err); !ok || permanent.Class != function.ClassOutput {
		t.Errorf("class of %v", err)
	}
	_, err = tr.PrepareRecord("dead", kafkabinding.Message{Value: make([]byte, kafkasink.DefaultMaxRawBytes)}, time.Time{})
	wantVerdict(t, err, function.DeadLetter, "dead", "2097152")
	_, err = tr.PrepareRecord("dead", kafkabinding.Message{}, time.UnixMilli(-1))
	wantVerdict(t, err, function.DeadLetter, "dead", "1970")
	p, err := tr.Prepare(output("orders", newEvent("1", "order-1")))
	if err != nil || p.Topic() != "orders" || p.Size() < 100 {
		t.Errorf("got %s, %d bytes, %v", p.Topic(), p.Size(), err)
	}
}

// TestRecordsError: records that cannot be published are named, nothing is committed, and the others are published once
// when the same ones are committed without them.
func TestRecordsError(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	small, missing := runtimetest.UniqueName(t), runtimetest.UniqueName(t)
	broker.CreateTopic(t, small, 1, map[string]string{"max.message.bytes": "10000"})
	tr := openTransactor(t, broker, id, nil)

	records := prepare(t, tr, b.topic, 0, 10)
	large := slices.Repeat(preparedRaw(t, tr, small, 20_000), 1)
	fits := slices.Repeat(preparedRaw(t, tr, small, 4000), 5)
	records = slices.Insert(records, 7, slices.Concat(fits, large, fits, large, fits)...)
	refused, ok := errors.AsType[*kafkasink.RecordsError](tr.Commit(t.Context(), records, b.offsets(10), b.member))
	if !ok || len(refused.Failures) != 2 || refused.Failures[0].Index != 12 || refused.Failures[1].Index != 18 {
		t.Fatalf("got %v, want records 12 and 18", refused)
	}
	wantVerdict(t, refused, function.DeadLetter, "record 12", "record 18", small)
	b.check(t, 0)

	records = slices.Delete(slices.Delete(records, 18, 19), 12, 13)
	withMissing := slices.Insert(slices.Clone(records), 3, prepare(t, tr, missing, 100, 5)...)
	refused, ok = errors.AsType[*kafkasink.RecordsError](tr.Commit(t.Context(), withMissing, b.offsets(10), b.member))
	if !ok || len(refused.Failures) != 5 || refused.Failures[0].Index != 3 || refused.Failures[4].Index != 7 {
		t.Fatalf("got %v, want records 3 to 7", refused)
	}
	wantVerdict(t, refused, function.Retry, "event 100", missing, "does not exist", "2 more")
	b.check(t, 0)
	checkNoneOpen(t, broker, id)

	if err := tr.Commit(t.Context(), records, b.offsets(10), b.member); err != nil {
		t.Fatal(err)
	}
	b.check(t, 10)
	if got := len(broker.Records(t, small, 15)); got != 15 {
		t.Errorf("%d records in the small topic, want 15", got)
	}
}

// TestFenced has a stranger take over the transactional id while a transaction is under way.
func TestFenced(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.EndTxn, id)
	for i := range 2 {
		w.next(before(func() { openTransactor(t, broker, id, nil) }))
		fenced, ok := errors.AsType[*kafkasink.FencedError](b.commit(t, tr, 0, 10))
		if !ok || fenced.TransactionalID != id || fenced.Again != (i > 0) {
			t.Fatalf("takeover %d: got %v", i, fenced)
		}
		if advised := strings.Contains(fenced.Error(), "two programs"); advised != (i > 0) {
			t.Errorf("takeover %d: %v", i, fenced)
		}
		b.check(t, 0)
	}
	if err := b.commit(t, tr, 0, 10); err != nil {
		t.Fatal(err)
	}
	b.check(t, 10)
	checkNoneOpen(t, broker, id)
}

// TestGroupError has a transaction come from a member of the generation before, and from one that the group does not know.
func TestGroupError(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr := openTransactor(t, broker, id, nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs...), kgo.ConsumerGroup(b.member.GroupID), kgo.ConsumeTopics(b.input))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	runtimetest.Eventually(t, "the member has joined", func() bool {
		b.member.MemberID, b.member.GenerationID = client.GroupMetadata()
		return b.member.GenerationID > 0
	})
	for want, member := range map[sarama.KError]sarama.ConsumerGroupMetadata{
		sarama.ErrIllegalGeneration: {GroupID: b.member.GroupID, MemberID: b.member.MemberID, GenerationID: b.member.GenerationID + 1},
		sarama.ErrUnknownMemberId:   {GroupID: b.member.GroupID, MemberID: "stranger", GenerationID: b.member.GenerationID},
	} {
		err := tr.Commit(t.Context(), prepare(t, tr, b.topic, 0, 10), b.offsets(10), &member)
		if refused, ok := errors.AsType[*kafkasink.GroupError](err); !ok || refused.Group != b.member.GroupID || !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		b.check(t, 0)
	}
	checkNoneOpen(t, broker, id)
	if err := b.commit(t, tr, 0, 10); err != nil {
		t.Fatal(err)
	}
	b.check(t, 10)
}

func TestOpenTransactorRefuses(t *testing.T) {
	t.Parallel()
	config := kafkaclient.Config{Brokers: []string{"127.0.0.1:1"}}
	if _, err := kafkasink.OpenTransactor(config, "test", "", nil); err == nil || !strings.Contains(err.Error(), "transactional id") {
		t.Errorf("no id: %v", err)
	}
	if _, err := kafkasink.OpenTransactor(config, "test", "id", &kafkasink.Options{TransactionTimeout: 1}); err == nil || !strings.Contains(err.Error(), "TransactionTimeout") {
		t.Errorf("short time-out: %v", err)
	}
	if _, err := kafkasink.OpenTransactor(config, "test", "id", nil); err == nil || !strings.Contains(err.Error(), "no broker listens") {
		t.Errorf("no broker: %v", err)
	}
	broker := runtimetest.Kafka(t, nil)
	_, err := kafkasink.OpenTransactor(kafkaclient.Config{Brokers: broker.Addrs}, "test", runtimetest.UniqueName(t), &kafkasink.Options{TransactionTimeout: time.Hour})
	if err != nil && !strings.Contains(err.Error(), "transaction.max.timeout.ms") {
		t.Errorf("long time-out: %v", err)
	}
}
