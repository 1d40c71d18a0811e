package records

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Records of several partitions come by time, those of one in their order although their times run backwards.
func TestMerge(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	partition := func(name string, seconds ...int) (list []*kgo.Record) {
		for _, s := range seconds {
			list = append(list, &kgo.Record{Key: []byte(name), Timestamp: begin.Add(time.Duration(s) * time.Second)})
		}
		return list
	}
	for name, test := range map[string]struct {
		partitions [][]*kgo.Record
		want       string
	}{
		"none":           {nil, ""},
		"one":            {[][]*kgo.Record{partition("a", 2, 1)}, "a2 a1 "},
		"two":            {[][]*kgo.Record{partition("a", 1, 5, 2), partition("b", 3, 6)}, "a1 b3 a5 a2 b6 "},
		"the same times": {[][]*kgo.Record{partition("a", 1, 2), partition("b", 1)}, "a1 b1 a2 "},
	} {
		got := ""
		for _, r := range merge(test.partitions) {
			got += string(r.Key) + r.Timestamp.Format("5 ")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
