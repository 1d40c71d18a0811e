package trigger

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger/template"
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

// What becomes of the controls, by mode.
func TestSettle(t *testing.T) {
	t.Parallel()
	const queue, topic = "arn:aws:sqs:eu-west-1:111122223333:failed", "kafka://failed"
	for name, tc := range map[string]struct {
		provisioned bool
		attempts    int
		to          string
		want        string
	}{
		"provisioned":                           {true, 3, topic, "3 kafka://failed true"},
		"provisioned, endless":                  {true, -1, "", "-1  true"},
		"provisioned, endless, a topic":         {true, -1, topic, "10 kafka://failed true"},
		"on demand":                             {false, 3, "", "-1  false"},
		"on demand, a topic":                    {false, 3, topic, "-1  false"},
		"on demand, a queue takes what is left": {false, 3, queue, "10 " + queue + " false"},
	} {
		m, err := settle(template.Mapping{
			Topic: "orders", BatchSize: 1, Source: template.MSK, Provisioned: tc.provisioned, MaxAttempts: tc.attempts,
			OnFailure: tc.to, PartialResponses: true, Bisect: true, MaxAge: time.Hour,
		}, &Options{Folder: "folder"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := fmt.Sprint(m.MaxAttempts, " ", m.OnFailure, " ", m.Bisect); got != tc.want || m.PartialResponses != m.Bisect || (m.MaxAge > 0) != m.Bisect {
			t.Errorf("%s: %s, want %s; %+v", name, got, tc.want, m)
		}
		if len(m.Group) != 36 {
			t.Errorf("%s: group %q", name, m.Group)
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
