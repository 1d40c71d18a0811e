package deadletter_test

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/deadletter"
)

func TestParse(t *testing.T) {
	t.Parallel()
	original := message("order-1", "data", "a", "1", "a", "2")
	f := failure(original)
	got := parse(t, deadletter.Message(f, service))
	want := deadletter.Letter{
		Original:  original,
		Topic:     "order-events",
		Partition: 2,
		Offset:    1234,
		Timestamp: f.Record.Timestamp.UTC(),
		Reason:    "database connection timeout",
		Class:     "exhausted",
		Retries:   3,
		First:     f.First.UTC(),
		Last:      f.Last.UTC(),
		Service:   service,
		Group:     "notification-service-orders",
		Stack:     "goroutine 1 [running]:",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
}

func TestParseOfLittle(t *testing.T) {
	t.Parallel()
	got := parse(t, message("", "", deadletter.HeaderTopic, "t", "unknown", "x"))
	want := deadletter.Letter{Topic: "t", Partition: -1, Offset: -1, Original: message("", "")}
	want.Original.Headers = []kafkabinding.Header{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	if _, err := deadletter.Parse(message("k", "v", "ce_id", "1", "DLQ-Original-Topic", "t")); !errors.Is(err, deadletter.ErrNotLetter) {
		t.Errorf("got %v", err)
	}
	for name, test := range map[string]struct{ header, value string }{
		"partition is text":       {deadletter.HeaderPartition, "two"},
		"partition is large":      {deadletter.HeaderPartition, "2147483648"},
		"partition is negative":   {deadletter.HeaderPartition, "-2"},
		"offset is empty":         {deadletter.HeaderOffset, ""},
		"offset is negative":      {deadletter.HeaderOffset, "-2"},
		"last offset is text":     {deadletter.HeaderLastOffset, "x"},
		"timestamp is a number":   {deadletter.HeaderTimestamp, "1701424800000"},
		"first failure is a date": {deadletter.HeaderFirst, "2023-12-01"},
		"last failure is empty":   {deadletter.HeaderLast, ""},
		"retries are negative":    {deadletter.HeaderRetries, "-1"},
		"replays are too many":    {deadletter.HeaderReplays, "9223372036854775808"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := deadletter.Parse(message("k", "v", deadletter.HeaderTopic, "t", test.header, test.value))
			var malformed *deadletter.HeaderError
			if !errors.As(err, &malformed) || malformed.Header != test.header {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzParse has any header value in any place: Parse returns a letter whose JSON is valid, or an error.
func FuzzParse(f *testing.F) {
	f.Add("dlq-original-topic", []byte("order-events"), "dlq-original-offset", []byte("12"), []byte(`{"a":1}`))
	f.Add("dlq-original-timestamp", []byte("2023-12-01T10:00:00Z"), "dlq-failure-reason", []byte("\xff"), []byte("text"))
	f.Add("dlq-retry-count", []byte("-1"), "dlq-replay-count", []byte("1e3"), []byte("\xff\x00"))
	f.Add("dlq-stack-trace", []byte(nil), "", []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, name1 string, value1 []byte, name2 string, value2, value []byte) {
		l, err := deadletter.Parse(kafkabinding.Message{Value: value, Headers: []kafkabinding.Header{
			{Key: []byte("kept"), Value: value},
			{Key: []byte(deadletter.HeaderTopic), Value: value2},
			{Key: []byte(name1), Value: value1},
			{Key: []byte(name2), Value: value2},
		}})
		if err != nil {
			return
		}
		if string(l.Original.Headers[0].Key) != "kept" {
			t.Errorf("the original's headers are %v", l.Original.Headers)
		}
		view, err := l.MarshalJSON()
		if err != nil || !jsontext.Value(view).IsValid() {
			t.Errorf("view %s: %v", view, err)
		}
	})
}
