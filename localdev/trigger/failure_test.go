package trigger_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestOnlyFailedRecordsAreTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.produce(0, numbers(0, 5)...)
	var calls atomic.Int64
	b.start(func(_ context.Context, e event) (string, error) {
		first := calls.Add(1) == 1
		return failing(e, func(r record) bool { return first && (r.Offset == 1 || r.Offset == 3) }), nil
	})
	b.committed(map[int32]int64{0: 5})
	if diff := cmp.Diff(map[string]int{"0": 1, "1": 2, "2": 1, "3": 2, "4": 1}, b.calls()); diff != "" {
		t.Error(diff)
	}
}

func TestTheCommitStaysBelowAFailedRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.produce(0, numbers(0, 5)...)
	stop := b.start(func(_ context.Context, e event) (string, error) {
		return failing(e, func(r record) bool { return r.Offset == 2 && r.Partition == 0 }), nil
	})
	b.committed(map[int32]int64{0: 2, 1: 0})
	runtimetest.Eventually(t, "some tries", func() bool { return b.calls()["2"] > 3 })
	stop()
	b.committed(map[int32]int64{0: 2, 1: 0})
	b.start(done)
	b.committed(map[int32]int64{0: 5, 1: 0})
	if n := b.calls()["1"]; n != 1 {
		t.Errorf("a record below the commit was sent %d times", n)
	}
}

// What each answer means for a batch of two records, at first.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer, want string
	}{
		"nothing":               {``, "0:1 1:1"},
		"null":                  {`null`, "0:1 1:1"},
		"an object":             {`{}`, "0:1 1:1"},
		"an empty list":         {`{"batchItemFailures":[]}`, "0:1 1:1"},
		"a null list":           {`{"batchItemFailures":null}`, "0:1 1:1"},
		"one":                   {`{"batchItemFailures":[{"itemIdentifier":{"partition":"T-0","offset":1}}]}`, "0:1 1:2"},
		"one, twice":            {`{"batchItemFailures":[{"itemIdentifier":{"partition":"T-0","offset":0}},{"itemIdentifier":{"partition":"T-0","offset":0}}]}`, "0:2 1:1"},
		"an unknown offset":     {`{"batchItemFailures":[{"itemIdentifier":{"partition":"T-0","offset":7}}]}`, "0:2 1:2"},
		"an unknown partition":  {`{"batchItemFailures":[{"itemIdentifier":{"partition":"T-1","offset":1}}]}`, "0:2 1:2"},
		"known and unknown":     {`{"batchItemFailures":[{"itemIdentifier":{"partition":"T-0","offset":1}},{"itemIdentifier":{"partition":"T","offset":1}}]}`, "0:2 1:2"},
		"the shape of Kinesis":  {`{"batchItemFailures":[{"itemIdentifier":"1"}]}`, "0:2 1:2"},
		"an offset as text":     {`{"batchItemFailures":[{"itemIdentifier":{"partition":"T-0","offset":"1"}}]}`, "0:2 1:2"},
		"no identifier":         {`{"batchItemFailures":[{}]}`, "0:2 1:2"},
		"text":                  {`"ok"`, "0:2 1:2"},
		"no JSON":               {`oops`, "0:2 1:2"},
		"the list alone":        {`[]`, "0:2 1:2"},
		"the name in lowercase": {`{"batchitemfailures":[{"itemIdentifier":{"partition":"T-0","offset":1}}]}`, "0:1 1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			b.produce(0, "0", "1")
			var calls atomic.Int64
			b.start(func(context.Context, event) (string, error) {
				if calls.Add(1) == 1 {
					return strings.ReplaceAll(tc.answer, "T-", b.topic+"-"), nil
				}
				return "", nil
			})
			b.committed(map[int32]int64{0: 2})
			if got := fmt.Sprintf("0:%d 1:%d", b.calls()["0"], b.calls()["1"]); got != tc.want {
				t.Errorf("sent %s, want %s", got, tc.want)
			}
		})
	}
}

// Without ReportBatchItemFailures the answer says nothing; on demand there is none of the controls.
func TestControlsThatAreOff(t *testing.T) {
	t.Parallel()
	t.Run("no partial responses", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, 1)
		b.spec.PartialResponses = false
		b.produce(0, "a", "b")
		b.start(func(_ context.Context, e event) (string, error) {
			return failing(e, func(record) bool { return true }), nil
		})
		b.committed(map[int32]int64{0: 2})
	})
	t.Run("on demand", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, 1)
		b.spec.Provisioned = false
		b.spec.Bisect, b.spec.MaxAttempts, b.spec.MaxAge, b.spec.OnFailure = true, 1, time.Nanosecond, "kafka://nowhere"
		b.produce(0, "a", "b")
		var calls atomic.Int64
		b.start(func(_ context.Context, e event) (string, error) {
			if calls.Add(1) <= 5 {
				return "", errors.New("not yet")
			}
			return failing(e, func(record) bool { return true }), nil
		})
		b.committed(map[int32]int64{0: 2})
		if diff := cmp.Diff(map[string]int{"a": 6, "b": 6}, b.calls()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBisectFindsThePoison(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.Bisect, b.spec.MaxAttempts, b.spec.Window = true, 2, 200*time.Millisecond
	b.spec.OnFailure = "kafka://" + b.broker.NewTopic(t, 1)
	b.produce(0, numbers(0, 50)...)
	b.produce(1, numbers(50, 90)...)
	b.start(func(_ context.Context, e event) (string, error) {
		for _, values := range e.values() {
			if slices.Contains(values, "33") || slices.Contains(values, "77") {
				return "", errors.New("poison")
			}
		}
		return "", nil
	})
	b.committed(map[int32]int64{0: 50, 1: 40})
	letters := b.broker.Records(t, strings.TrimPrefix(b.spec.OnFailure, "kafka://"), 2)
	var keys []string
	for _, l := range letters {
		keys = append(keys, string(l.Key))
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"key-33", "key-77"}, keys); diff != "" {
		t.Error(diff)
	}
	if b.kinds()[trigger.Bisected] == 0 {
		t.Error("nobody was told")
	}
}

// letter is what the tests look at in an on-failure record.
type letter struct {
	RequestContext struct {
		RequestID, FunctionARN, Condition string
		ApproximateInvokeCount            int
	}
	ResponseContext *struct{ FunctionError string }
	KafkaBatchInfo  struct {
		BatchSize   int
		RecordInfo  *struct{ Offset, Timestamp string }
		RecordsInfo map[string]struct{ FirstRecordOffset, LastRecordOffset string }
	}
	Payload any
}

func parseLetter(t *testing.T, document []byte) letter {
	t.Helper()
	var l letter
	if err := json.Unmarshal(document, &l, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return l
}

func TestSpentAttemptsGoToTheTopicOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	failed := b.broker.NewTopic(t, 2)
	b.spec.MaxAttempts, b.spec.OnFailure, b.opts.FunctionARN = 2, "kafka://"+failed, "arn:aws:lambda:eu-west-1:1:function:f"
	b.produce(0, numbers(0, 6)...)
	b.broker.ProduceTo(t, b.topic, 0, &kgo.Record{Value: []byte("without a key")})
	b.start(func(_ context.Context, e event) (string, error) {
		return failing(e, func(r record) bool { return r.Offset == 1 || r.Offset == 6 }), nil
	})
	b.committed(map[int32]int64{0: 7, 1: 0})
	if diff := cmp.Diff(3, b.calls()["1"]); diff != "" {
		t.Error(diff)
	}
	letters := b.broker.Records(t, failed, 2)
	if len(letters) != 2 {
		t.Fatalf("%d on-failure records, want 2", len(letters))
	}
	slices.SortFunc(letters, func(a, b *kgo.Record) int { return len(b.Key) - len(a.Key) })
	if string(letters[0].Key) != "key-1" || letters[1].Key != nil {
		t.Errorf("keys %q and %q", letters[0].Key, letters[1].Key)
	}
	l := parseLetter(t, letters[0].Value)
	if c := l.RequestContext; c.Condition != "RetriesExhausted" || c.ApproximateInvokeCount != 3 || c.FunctionARN != b.opts.FunctionARN || c.RequestID != "request" {
		t.Errorf("%+v", c)
	}
	if l.KafkaBatchInfo.RecordInfo.Offset != "1" || l.KafkaBatchInfo.BatchSize != 1 {
		t.Errorf("%+v", l.KafkaBatchInfo)
	}
	records := l.Payload.(map[string]any)["records"].(map[string]any)[b.topic+"-0"].([]any)
	if got := records[0].(map[string]any)["value"]; got != base64.StdEncoding.EncodeToString([]byte("1")) {
		t.Errorf("value %v", got)
	}
}

func TestOldRecordsAreGivenUpBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	failed := b.broker.NewTopic(t, 1)
	b.spec.MaxAge, b.spec.OnFailure = time.Hour, "kafka://"+failed
	b.broker.ProduceTo(t, b.topic, 0,
		&kgo.Record{Value: []byte("old"), Timestamp: time.Now().Add(-2 * time.Hour)},
		&kgo.Record{Value: []byte("young"), Timestamp: time.Now()},
	)
	b.start(done)
	b.committed(map[int32]int64{0: 2})
	if diff := cmp.Diff(map[string]int{"young": 1}, b.calls()); diff != "" {
		t.Error(diff)
	}
	letters := b.broker.Records(t, failed, 1)
	if l := parseLetter(t, letters[0].Value); len(letters) != 1 || l.RequestContext.Condition != "RecordAgeExceeded" || l.ResponseContext != nil {
		t.Errorf("%d: %+v", len(letters), l)
	}
}

// A partition that fails until its records are too old goes on then.
func TestRecordsGrowOldWhileTheyAreTried(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.spec.MaxAge = 500 * time.Millisecond
	b.start(func(context.Context, event) (string, error) { return "", errors.New("always") })
	b.broker.ProduceTo(t, b.topic, 0, &kgo.Record{Value: []byte("x"), Timestamp: time.Now()})
	b.committed(map[int32]int64{0: 1})
	if b.kinds()[trigger.Dropped] != 1 || b.calls()["x"] < 2 {
		t.Errorf("dropped %d times after %d calls", b.kinds()[trigger.Dropped], b.calls()["x"])
	}
}

func TestARecordThatFitsNoEvent(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{"", "arn:aws:sqs:eu-west-1:111122223333:failed", "arn:aws:s3:::bucket"} {
		t.Run("to "+arn, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			b.opts.Folder = t.TempDir()
			b.spec.OnFailure, b.spec.Provisioned = arn, false
			b.largeTopic(1)
			b.produceLarge(0, "a", strings.Repeat("x", 5<<20), "b")
			b.start(done)
			b.committed(map[int32]int64{0: 3})
			if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, b.calls()); diff != "" {
				t.Error(diff)
			}
			if arn == "" {
				if b.kinds()[trigger.Dropped] != 1 {
					t.Error("nobody was told")
				}
				return
			}
			files, err := filepath.Glob(b.opts.Folder + "/*/*.json")
			if err != nil || len(files) != 1 {
				t.Fatalf("files %v, %v", files, err)
			}
			document, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			l := parseLetter(t, document)
			if run := l.KafkaBatchInfo.RecordsInfo[b.topic+"-0"]; l.RequestContext.Condition != "MaximumPayloadSizeExceeded" ||
				l.ResponseContext != nil || run.FirstRecordOffset != "1" || run.LastRecordOffset != "1" {
				t.Errorf("%s: %.400s", files[0], document)
			}
			if _, whole := l.Payload.(string); whole != strings.Contains(arn, "s3") {
				t.Errorf("payload: %v", whole)
			}
		})
	}
}

// largeTopic gives the bench a topic for records that are larger than brokers take by default.
func (b *bench) largeTopic(partitions int32) {
	b.Helper()
	b.topic += "-large"
	b.spec.Topic = b.topic
	b.broker.CreateTopic(b, b.topic, partitions, map[string]string{"max.message.bytes": "16777216"})
}

// produceLarge writes records that are larger than the default of clients.
func (b *bench) produceLarge(partition int32, values ...string) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.broker.Addrs...), kgo.ProducerBatchMaxBytes(16<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for _, v := range values {
		if err := client.ProduceSync(b.Context(), &kgo.Record{Topic: b.topic, Partition: partition, Value: []byte(v)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestErrorsOfTheServiceAreNoAttempts(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.spec.MaxAttempts = 0
	b.produce(0, "x")
	var calls atomic.Int64
	b.start(func(context.Context, event) (string, error) {
		if calls.Add(1) < 5 {
			return "", errService
		}
		return "", nil
	})
	b.committed(map[int32]int64{0: 1})
	if n := calls.Load(); n != 5 || b.kinds()[trigger.Dropped] > 0 {
		t.Errorf("%d calls, %d dropped", n, b.kinds()[trigger.Dropped])
	}
}

// What the destination does not take stays unresolved.
func TestNothingIsLostWhileTheDestinationIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.spec.MaxAttempts, b.spec.OnFailure = 0, "arn:aws:sqs:eu-west-1:111122223333:failed"
	file := filepath.Join(t.TempDir(), "in-the-way")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.opts.Folder = file
	b.produce(0, "a", "b")
	b.produce(1, "c")
	b.spec.BatchSize = 1
	b.start(func(_ context.Context, e event) (string, error) {
		if len(e.values()[b.topic+"-0"]) > 0 {
			return "", errors.New("always")
		}
		return "", nil
	})
	b.committed(map[int32]int64{0: 0, 1: 1})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	b.committed(map[int32]int64{0: 2, 1: 1})
	files, err := filepath.Glob(file + "/sqs-failed/*.json")
	if err != nil || len(files) != 2 {
		t.Errorf("files %v, %v", files, err)
	}
}
