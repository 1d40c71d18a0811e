package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// reported returns a report of one figure on the embedded broker and one on a Kafka.
func reported(t *testing.T) *report {
	t.Helper()
	all := &report{settings: &settings{rounds: 2, records: 1000}, machine: "a machine", date: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	for _, title := range []string{"Embedded broker", "Apache Kafka 4.3"} {
		rows := map[string][][]float64{"slow": {{1000, 2}, {1100, 2}}, "millrace": {{2000, 1}, {2200, 1}}}
		f, _ := figureOf([]column{{name: "events/s"}, {name: "CPU µs/event", decimal: 2}}, rows, "slow", "millrace")
		r, err := f.run(t.Context(), 2, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		all.add(&section{title: title, results: []*result{r}, clustered: true})
	}
	return all
}

func TestTextEndsWithLinesForScripts(t *testing.T) {
	t.Parallel()
	text := reported(t).text()
	for _, want := range []string{
		"a machine; medians of 2 interleaved rounds\n", "\nApache Kafka 4.3\n\ntest: a test\n",
		"1.00       1050           2.00   slow\n", "2.00       2100           1.00   millrace\n", "goal: at least 1.0 times slow: reached with 2.00\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if !strings.HasSuffix(text, "\n\nBENCH embedded-test 2100 events/s 2.00\nBENCH test 2100 events/s 2.00\n") {
		t.Errorf("it ends otherwise:\n%s", text)
	}
}

func TestTheOnlyClusterNeedsNoPrefix(t *testing.T) {
	t.Parallel()
	all := &report{}
	all.add(&section{title: "Codec"})
	all.add(&section{clustered: true})
	if all.sections[0].prefix != "" || all.sections[1].prefix != "" {
		t.Errorf("prefixes %q and %q, want none", all.sections[0].prefix, all.sections[1].prefix)
	}
}

func TestMarkdownSaysWhereAndWhen(t *testing.T) {
	t.Parallel()
	page := reported(t).markdown()
	for _, want := range []string{
		"on 2026-11-23: 2 rounds, 1000 events.\na machine.\n", "\n## Apache Kafka 4.3\n\n### test\n\na test.\n\n",
		"| peer | ratio | events/s | CPU µs/event |\n|---|---:|---:|---:|\n| slow | 1.00 | 1050 | 2.00 |\n",
		"\n\n- at least 1.0 times slow: reached with 2.00\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
}

func TestJSONHoldsEveryRound(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := reported(t).writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got jsonReport
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	millrace := got.Sections[1].Figures[0].Peers[1]
	if millrace.Name != "millrace" || millrace.Ratio != 2 || millrace.Values[0] != 2100 || millrace.Rounds[1][0] != 2200 {
		t.Errorf("got %+v", millrace)
	}
}
