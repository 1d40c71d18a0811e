package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

func printed(t *testing.T, write func(io.Writer, *settings, []result) error) string {
	t.Helper()
	rows := map[string][][]float64{"slow": {{1000, 2}, {1100, 2}}, "millrace": {{2000, 1}, {2200, 1}}}
	f, _ := figureOf([]column{{name: "events/s"}, {name: "CPU µs/event", decimal: 2}}, rows, "slow", "millrace")
	r, err := f.run(t.Context(), 2, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out, &settings{rounds: 2}, []result{r}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTextEndsWithALineForScripts(t *testing.T) {
	t.Parallel()
	text := printed(t, printText)
	for _, want := range []string{"test: a test\n", "1.00       1050           2.00   slow\n", "2.00       2100           1.00   millrace\n", "goal: 1.0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if !strings.HasSuffix(text, "\n\nBENCH test 2100 events/s 2.00\n") {
		t.Errorf("it ends otherwise:\n%s", text)
	}
}

func TestJSONHoldsEveryRound(t *testing.T) {
	t.Parallel()
	var got report
	if err := json.Unmarshal([]byte(printed(t, printJSON)), &got); err != nil {
		t.Fatal(err)
	}
	millrace := got.Figures[0].Peers[1]
	if millrace.Name != "millrace" || millrace.Ratio != 2 || millrace.Values[0] != 2100 || millrace.Rounds[1][0] != 2200 {
		t.Errorf("got %+v", millrace)
	}
}
