package trigger

import (
	"fmt"
	"strings"
	"testing"

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
