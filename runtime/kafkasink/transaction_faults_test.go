package kafkasink_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// TestConnectionLost cuts the connection at each kind of request, before the broker has it or before the client has the
// answer: the transaction is committed nevertheless, once.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		for what, f := range map[string]fault{"request": loseRequest, "answer": loseAnswer} {
			t.Run(key.Name()+" "+what, func(t *testing.T) {
				t.Parallel()
				b, id := newBatch(t, broker), runtimetest.UniqueName(t)
				tr, w := openThrough(t, broker, key, id)
				if err := b.commit(t, tr, 0, 10); err != nil {
					t.Fatal(err)
				}
				if key == kmsg.InitProducerID {
					loseEpoch(t, broker, b, tr, id)
				}
				w.next(f)
				err := b.commit(t, tr, 10, 10)
				if err != nil {
					// Where the new epoch cannot be begun, this is told: it happens when the broker is away.
					wantUnavailable(t, err)
					err = b.commit(t, tr, 10, 10)
				}
				if err != nil {
					t.Fatal(err)
				}
				w.wantDone(t)
				b.check(t, 20)
				checkNoneOpen(t, broker, id)
			})
		}
	}
}

// loseEpoch has somebody else take the id, so that the next transaction begins a new epoch.
func loseEpoch(t *testing.T, broker *runtimetest.Broker, b *batch, tr *kafkasink.Transactor, id string) {
	t.Helper()
	openTransactor(t, broker, id, nil)
	err := b.commit(t, tr, 10, 10)
	if _, ok := errors.AsType[*kafkasink.FencedError](err); !ok {
		t.Fatalf("got %v, want to be fenced", err)
	}
}

// TestLateEndTxn delivers the request that ends a transaction when the next one is open. The next one must not be visible
// by it, and must not be lost.
func TestLateEndTxn(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	for name, then := range map[string]fault{
		"then committed":    nil,
		"then request lost": loseRequest,
		"then answer lost":  loseAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, id := newBatch(t, broker), runtimetest.UniqueName(t)
			tr, w := openThrough(t, broker, kmsg.EndTxn, id)
			release := func() {
				w.release(t)
				if got := len(broker.Records(t, b.topic, 10)); got != 10 {
					t.Errorf("%d records can be read after the late request, want those of the first transaction", got)
				}
			}
			// The first request is held, the second one commits the first batch; the third would commit the second.
			second := before(release)
			if then != nil {
				second = both(release, then)
			}
			w.next(w.hold, before(func() {}), second)
			if err := b.commit(t, tr, 0, 10); err != nil {
				t.Fatal(err)
			}
			if err := b.commit(t, tr, 10, 10); err != nil {
				t.Fatal(err)
			}
			w.wantDone(t)
			b.check(t, 20)
			if err := b.commit(t, tr, 20, 10); err != nil {
				t.Fatal(err)
			}
			b.check(t, 30)
			checkNoneOpen(t, broker, id)
		})
	}
}

// TestLateEndTxnAborted delivers a late commit into a transaction that is aborted after it.
func TestLateEndTxnAborted(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.EndTxn, id)
	w.next(w.hold)
	if err := b.commit(t, tr, 0, 10); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.next(both(func() { w.release(t); cancel() }, loseRequest))
	err := tr.Commit(ctx, prepare(t, tr, b.topic, 10, 10), b.offsets(20), b.member)
	if _, ok := errors.AsType[*kafkasink.UnknownOutcomeError](err); !ok {
		t.Fatalf("got %v, want an unknown outcome", err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	b.check(t, 10)
	checkNoneOpen(t, broker, id)
}

// TestUnknownOutcome has the caller give up while the outcome is not known. The next call learns it.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	for name, test := range map[string]struct {
		f         fault
		committed bool
	}{
		"not committed": {loseRequest, false},
		"committed":     {loseAnswer, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, id := newBatch(t, broker), runtimetest.UniqueName(t)
			tr, w := openThrough(t, broker, kmsg.EndTxn, id)
			giveUp := func() {
				ctx, cancel := context.WithCancel(t.Context())
				w.next(then(test.f, cancel))
				err := tr.Commit(ctx, prepare(t, tr, b.topic, 0, 10), b.offsets(10), b.member)
				if _, ok := errors.AsType[*kafkasink.UnknownOutcomeError](err); !ok || !errors.Is(err, context.Canceled) {
					t.Fatalf("got %v, want an unknown outcome", err)
				}
			}
			giveUp()
			if err := b.commit(t, tr, 0, 10); err != nil {
				t.Fatal(err)
			}
			b.check(t, 10)

			b.topic, b.input = broker.NewTopic(t, 2), broker.NewTopic(t, 2)
			giveUp()
			err := b.commit(t, tr, 10, 10)
			earlier, told := errors.AsType[*kafkasink.EarlierCommittedError](err)
			if told != test.committed {
				t.Fatalf("got %v", err)
			}
			if told && (len(earlier.Offsets) != 1 || earlier.Offsets[0] != b.offsets(10)[0]) {
				t.Errorf("earlier offsets are %v", earlier.Offsets)
			}
			if told {
				b.check(t, 10)
				err = b.commit(t, tr, 10, 10)
			}
			if err != nil {
				t.Fatal(err)
			}
			n := 10
			if told {
				n = 20
			}
			if got := len(broker.Records(t, b.topic, n)); got != n {
				t.Errorf("%d records, want %d", got, n)
			}
			checkNoneOpen(t, broker, id)
		})
	}
}

// TestUnknownWithoutOffsets: nothing tells whether records without offsets were committed, and the caller hears of it.
func TestUnknownWithoutOffsets(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.EndTxn, id)
	w.next(loseAnswer)
	err := tr.Commit(t.Context(), prepare(t, tr, b.topic, 0, 10), nil, nil)
	if _, ok := errors.AsType[*kafkasink.UnknownOutcomeError](err); !ok {
		t.Fatalf("got %v, want an unknown outcome", err)
	}
	if err := b.commit(t, tr, 10, 10); err != nil {
		t.Fatal(err)
	}
	if got := len(broker.Records(t, b.topic, 20)); got != 20 {
		t.Errorf("%d records", got)
	}
}

// TestSameOffset commits an offset again with other metadata, as a partition does whose first record is not finished, and
// loses the request: the offset alone does not tell that it was committed.
func TestSameOffset(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b := newBatch(t, broker)
	tr, w := openThrough(t, broker, kmsg.EndTxn, runtimetest.UniqueName(t))
	for i, serial := range []string{"first", "second"} {
		if i > 0 {
			w.next(loseRequest)
		}
		offsets := b.offsets(10)
		offsets[0].Metadata = serial
		if err := tr.Commit(t.Context(), prepare(t, tr, b.topic, 10*i, 10), offsets, b.member); err != nil {
			t.Fatal(err)
		}
		checkOrder(t, broker.Records(t, b.topic, 10*i+10), 10*i+10)
		if got := broker.Commits(t, b.member.GroupID, b.input)[1].Metadata; got != serial {
			t.Errorf("metadata is %q, want %q", got, serial)
		}
	}
}

// TestMovedOn loses the request that commits, while another owner of the partition commits beyond.
func TestMovedOn(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.EndTxn, id)
	w.next(both(func() {
		broker.SetCommits(t, b.member.GroupID, b.input, map[int32]runtimetest.Commit{1: {Offset: 50, Metadata: "another owner"}})
	}, loseRequest))
	err := b.commit(t, tr, 0, 10)
	if moved, ok := errors.AsType[*kafkasink.GroupError](err); !ok || !strings.Contains(err.Error(), "offset 50") {
		t.Fatalf("got %v, %v, want that the group moved on", moved, err)
	}
	if got := len(broker.Records(t, b.topic, 0)); got != 0 {
		t.Errorf("%d records can be read", got)
	}
	checkNoneOpen(t, broker, id)
}

// TestCommitGivenUp ends the context while a broker does not answer: Commit returns at once, and Close aborts what is open.
func TestCommitGivenUp(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	cluster := broker.Embedded(t)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr := openTransactor(t, broker, id, nil)
	asked, answer := make(chan struct{}), make(chan struct{})
	cluster.ControlKey(int16(kmsg.AddOffsetsToTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		cluster.SleepControl(func() { <-answer })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	var ended time.Time
	go func() {
		<-asked
		ended = time.Now()
		cancel()
	}()
	err := tr.Commit(ctx, prepare(t, tr, b.topic, 0, 10), b.offsets(10), b.member)
	if took := time.Since(ended); took > 3*time.Second {
		t.Errorf("returned %s after its context ended", took)
	}
	wantUnavailable(t, err, context.Canceled.Error())
	close(answer)
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	checkNoneOpen(t, broker, id)
	b.check(t, 0)
}

// TestCloseDuringCommit closes while a broker does not answer.
func TestCloseDuringCommit(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.AddOffsetsToTxn, id)
	closed, asked := make(chan error, 1), make(chan struct{})
	w.next(both(func() {
		go func() {
			close(asked)
			closed <- tr.Close()
		}()
		<-asked
	}, loseRequest))
	err := b.commit(t, tr, 0, 10)
	if err != nil {
		wantUnavailable(t, err)
	}
	began := time.Now()
	if err := <-closed; err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("closed with %v after %s", err, time.Since(began))
	}
	checkNoneOpen(t, broker, id)
	if err := b.commit(t, tr, 0, 10); !errors.Is(err, kafkasink.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// TestCloseAfterConnectionLost loses the connections of a transaction that is given up, and those that Close opens first:
// it goes on until the transaction is aborted.
func TestCloseAfterConnectionLost(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	b, id := newBatch(t, broker), runtimetest.UniqueName(t)
	tr, w := openThrough(t, broker, kmsg.InitProducerID, id)
	loseEpoch(t, broker, b, tr, id)
	w.next(loseRequest, loseAnswer)
	if err := tr.Close(); err != nil {
		t.Errorf("closed with %v", err)
	}
	w.wantDone(t)
	checkNoneOpen(t, broker, id)
}

// TestTransactorBrokerGone stops the broker and starts it again.
func TestTransactorBrokerGone(t *testing.T) {
	t.Parallel()
	const topic = "order-events"
	addr, start := restartable(t, topic)
	cluster := start()
	tr, err := kafkasink.OpenTransactor(kafkaclient.Config{Brokers: []string{addr}}, "test", "id", nil)
	if err != nil {
		t.Fatal(err)
	}
	records := prepare(t, tr, topic, 0, 10)
	if err := tr.Commit(t.Context(), records, nil, nil); err != nil {
		t.Fatal(err)
	}
	cluster.Close()
	for range 2 {
		began := time.Now()
		wantUnavailable(t, tr.Commit(t.Context(), records, nil, nil), "kafka at "+addr)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("told after %s", took)
		}
	}
	cluster = start()
	t.Cleanup(cluster.Close)
	runtimetest.Eventually(t, "committing works", func() bool {
		err := tr.Commit(t.Context(), records, nil, nil)
		if err != nil {
			wantUnavailable(t, err)
		}
		return err == nil
	})
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

// TestTransactionAnswers has the broker answer each kind of request with an error: once, where the answer passes, the
// transaction is committed; for good, the error says what it means.
func TestTransactionAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key     kmsg.Key
		answer  *kerr.Error
		verdict function.Verdict
		passes  bool
	}{
		{kmsg.AddPartitionsToTxn, kerr.ConcurrentTransactions, function.Broken, true},
		{kmsg.AddPartitionsToTxn, kerr.NotCoordinator, function.Broken, true},
		{kmsg.AddPartitionsToTxn, kerr.TopicAuthorizationFailed, function.Retry, false},
		{kmsg.AddPartitionsToTxn, kerr.TransactionalIDAuthorizationFailed, function.Broken, false},
		{kmsg.AddPartitionsToTxn, kerr.InvalidTxnState, function.Broken, false},
		{kmsg.Produce, kerr.NotLeaderForPartition, function.Broken, true},
		{kmsg.Produce, kerr.NotEnoughReplicas, function.Broken, true},
		{kmsg.Produce, kerr.OutOfOrderSequenceNumber, function.Broken, false},
		{kmsg.Produce, kerr.InvalidTxnState, function.Broken, false},
		{kmsg.Produce, kerr.InvalidRecord, function.DeadLetter, false},
		{kmsg.Produce, kerr.MessageTooLarge, function.DeadLetter, false},
		{kmsg.Produce, kerr.TopicAuthorizationFailed, function.Retry, false},
		{kmsg.AddOffsetsToTxn, kerr.ConcurrentTransactions, function.Broken, true},
		{kmsg.AddOffsetsToTxn, kerr.GroupAuthorizationFailed, function.Broken, false},
		{kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress, function.Broken, true},
		{kmsg.TxnOffsetCommit, kerr.NotCoordinator, function.Broken, true},
		{kmsg.TxnOffsetCommit, kerr.OffsetMetadataTooLarge, function.Retry, false},
		{kmsg.EndTxn, kerr.CoordinatorNotAvailable, function.Broken, true},
		{kmsg.EndTxn, kerr.InvalidTxnState, function.Broken, false},
	} {
		t.Run(test.key.Name()+" "+test.answer.Message, func(t *testing.T) {
			t.Parallel()
			broker := runtimetest.Kafka(t, nil)
			cluster := broker.Embedded(t)
			b, id := newBatch(t, broker), runtimetest.UniqueName(t)
			tr := openTransactor(t, broker, id, nil)
			always := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{test.key}, Err: test.answer, Count: -1})
			err := b.commit(t, tr, 0, 10)
			if test.verdict == function.Broken {
				wantUnavailable(t, err)
			} else {
				wantVerdict(t, err, test.verdict)
			}
			if hits := always.Hits(); test.passes && hits < 3 {
				t.Errorf("the request was sent %d times", hits)
			}
			always.Remove()
			b.check(t, 0)
			if test.passes {
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{test.key}, Err: test.answer, Count: 1})
			}
			if err := b.commit(t, tr, 0, 10); err != nil {
				t.Fatal(err)
			}
			b.check(t, 10)
			checkNoneOpen(t, broker, id)
		})
	}
}
