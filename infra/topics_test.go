package infra_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/infra"
)

func ExampleTopics() {
	for _, t := range infra.Topics() {
		fmt.Println(t.Name, t.Partitions, t.Cleanup, t.Retention)
	}
	// Output:
	// order-events 3 delete 168h0m0s
	// user-events 3 delete 168h0m0s
	// product-events 3 delete 168h0m0s
	// notification-events 3 delete 168h0m0s
	// audit-events 2 delete 2160h0m0s
	// dead-letter-queue 1 delete 720h0m0s
	// dead-letter-journal 1 compact 0s
}

func TestDeadLettersMayBeLargerThanTheirRecords(t *testing.T) {
	t.Parallel()
	for _, topic := range infra.Topics() {
		if topic.Name == "dead-letter-queue" {
			if topic.MaxMessageBytes < 1048588+64<<10 {
				t.Errorf("maxMessageBytes is %d: a record of the largest size has no room for its headers", topic.MaxMessageBytes)
			}
			return
		}
	}
	t.Error("dead-letter-queue is missing")
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	topics, err := infra.ParseTopics([]byte(`
topics:
  - {name: a, partitions: 1, cleanup: delete, retention: 36h, maxMessageBytes: 5000}
  - {name: b, partitions: 2, cleanup: compact}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []infra.Topic{
		{Name: "a", Partitions: 1, Cleanup: "delete", Retention: 36 * time.Hour, MaxMessageBytes: 5000},
		{Name: "b", Partitions: 2, Cleanup: "compact"},
	}
	if diff := cmp.Diff(want, topics); diff != "" {
		t.Error(diff)
	}
	wantConfigs := []map[string]string{
		{"cleanup.policy": "delete", "retention.ms": "129600000", "max.message.bytes": "5000"},
		{"cleanup.policy": "compact"},
	}
	for i, topic := range topics {
		if diff := cmp.Diff(wantConfigs[i], topic.Configs()); diff != "" {
			t.Errorf("%s: %s", topic.Name, diff)
		}
	}
}

func TestParseTopicsRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ entry, want string }{
		"no name":              {`{partitions: 1, cleanup: compact}`, "name must be"},
		"name with a slash":    {`{name: a/b, partitions: 1, cleanup: compact}`, "name must be"},
		"dots":                 {`{name: .., partitions: 1, cleanup: compact}`, "name must be"},
		"long name":            {`{name: ` + strings.Repeat("a", 250) + `, partitions: 1, cleanup: compact}`, "name must be"},
		"no partitions":        {`{name: a, cleanup: compact}`, "partitions is 0, must be 1 to 1000"},
		"too many partitions":  {`{name: a, partitions: 1001, cleanup: compact}`, "partitions is 1001"},
		"huge partitions":      {`{name: a, partitions: 4294967297, cleanup: compact}`, "not valid YAML"},
		"unknown cleanup":      {`{name: a, partitions: 1, cleanup: forget}`, `cleanup is "forget", must be delete or compact`},
		"no retention":         {`{name: a, partitions: 1, cleanup: delete}`, `retention is ""`},
		"retention of nothing": {`{name: a, partitions: 1, cleanup: delete, retention: 0d}`, `retention is "0d"`},
		"retention in weeks":   {`{name: a, partitions: 1, cleanup: delete, retention: 2w}`, `retention is "2w"`},
		"endless retention":    {`{name: a, partitions: 1, cleanup: delete, retention: 4000d}`, `at most 3650d`},
		"negative retention":   {`{name: a, partitions: 1, cleanup: delete, retention: -1h}`, `retention is "-1h"`},
		"compact retention":    {`{name: a, partitions: 1, cleanup: compact, retention: 1d}`, "has no meaning"},
		"huge messages":        {`{name: a, partitions: 1, cleanup: compact, maxMessageBytes: 1000000000}`, "maxMessageBytes is 1000000000"},
		"unknown field":        {`{name: a, partitions: 1, cleanup: compact, replicas: 3}`, "replicas"},
		"field twice":          {`{name: a, name: b, partitions: 1, cleanup: compact}`, "not valid YAML"},
		"text for a number":    {`{name: a, partitions: many, cleanup: compact}`, "not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topics, err := infra.ParseTopics([]byte("topics:\n  - " + test.entry + "\n"))
			if err == nil {
				t.Fatalf("accepted as %+v", topics)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
}

func TestParseTopicsReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := infra.ParseTopics([]byte(`
topics:
  - {name: a.b, partitions: 0, cleanup: delete, retention: soon}
  - {name: a_b, partitions: 1, cleanup: compact}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`topics[0] "a.b": partitions is 0`, `topics[0] "a.b": retention is "soon"`, `topics[1] "a_b": name stands twice`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestParseTopicsBoundsItsInput(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"nothing":       "",
		"null":          "topics: null\n",
		"two documents": "topics: [{name: a, partitions: 1, cleanup: compact}]\n---\ntopics: []\n",
		"too large":     "# " + strings.Repeat("x", 1<<20),
		"1001 topics":   "topics:\n" + strings.Repeat("  - {name: a, partitions: 1, cleanup: compact}\n", 1001),
		"aliases": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ntopics: *d\n",
	} {
		if _, err := infra.ParseTopics([]byte(input)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseTopics(f *testing.F) {
	f.Add([]byte("topics:\n  - {name: a, partitions: 1, cleanup: delete, retention: 7d}\n"))
	f.Add([]byte("topics:\n  - {name: a, partitions: 1, cleanup: compact}\n  - {name: b, partitions: 1, cleanup: compact}\n"))
	f.Add([]byte("topics: [*a]"))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		topics, err := infra.ParseTopics(data)
		if err != nil {
			return
		}
		for _, topic := range topics {
			if topic.Name == "" || topic.Partitions < 1 || topic.Configs()["cleanup.policy"] == "" {
				t.Errorf("accepted %+v", topic)
			}
			if (topic.Cleanup == infra.CleanupDelete) != (topic.Retention > 0) {
				t.Errorf("%s: cleanup %s with retention %s", topic.Name, topic.Cleanup, topic.Retention)
			}
		}
	})
}
