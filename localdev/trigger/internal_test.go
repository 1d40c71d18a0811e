package trigger

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTimestampTypes(t *testing.T) {
	t.Parallel()
	for number, name := range map[int8]string{0: "CREATE_TIME", 1: "LOG_APPEND_TIME", -1: "NO_TIMESTAMP_TYPE"} {
		r := &kgo.Record{Attrs: kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: number})}
		if got := string((&encoder{}).record(r)); !strings.Contains(got, fmt.Sprintf(`"timestampType":%q`, name)) {
			t.Errorf("%d: %s", number, got)
		}
	}
}

// Each minute the log says how far the partitions are.
func TestStatus(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := &mapping{claims: map[int32]*claim{3: {partition: 3, next: 20, committed: 12}}}
	m.claims[3].batches = []*batch{{records: []*record{{claim: m.claims[3], offset: 14}}}}
	m.spec.Topic = "orders"
	m.options.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m.logStatus(kadm.ListedOffsets{"orders": {3: {Offset: 99}}}, nil)
	const want = `"kafkaPartitionOffsets":{"partition":3,"endOffset":99,"consumedOffset":20,"processedOffset":14,"committedOffset":12}`
	if got := log.String(); !strings.Contains(got, want) || !strings.Contains(got, `"msg":"KAFKA_STATUS_EVENT"`) {
		t.Error(got)
	}
}

// A log that has lost its end gives its offsets to other records: they are not taken for old ones.
func TestRewind(t *testing.T) {
	t.Parallel()
	c := &claim{next: 100, waiting: []*record{{offset: 99}}}
	c.take(arrival{offset: 40, reset: true})
	c.take(arrival{offset: 40, record: &record{offset: 40}})
	if c.frontier() != 40 || len(c.waiting) != 1 {
		t.Errorf("frontier %d, %d waiting", c.frontier(), len(c.waiting))
	}
}

func TestEventsAsText(t *testing.T) {
	t.Parallel()
	e := Event{Kind: Delivered, Count: 3, Records: []Range{{Partition: 1, First: 5, Last: 7}}, Condition: conditionAge, Failed: 2, Err: errors.New("oops")}
	if got := e.String(); got != "delivered 3 records 1@5-7: RecordAgeExceeded, 2 to be tried again: oops" {
		t.Error(got)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `null`, `{}`, `[]`, `"x"`, `{"batchItemFailures":null}`, `{"batchItemFailures":[]}`,
		`{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":42}}]}`,
		`{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":-1}}],"batchItemFailures":[]}`,
		`{"batchItemFailures":[{"itemIdentifier":null},{"itemIdentifier":"42"}]}`,
	} {
		f.Add([]byte(seed))
	}
	c := &claim{partition: 0}
	records := []*record{{claim: c, offset: 41}, {claim: c, offset: 42}}
	e := &encoder{name: "orders"}
	f.Fuzz(func(t *testing.T, payload []byte) {
		identifiers, err := parseAnswer(payload)
		if err != nil && len(identifiers) > 0 {
			t.Fatal("an answer that cannot be understood says something")
		}
		failed, err := selectFailed(records, identifiers, e)
		if err == nil && len(identifiers) > 0 && len(failed) == 0 {
			t.Fatal("something failed, and nothing is tried again")
		}
	})
}
