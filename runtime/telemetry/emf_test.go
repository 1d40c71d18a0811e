package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// emfSchema is the JSON Schema that AWS documents, with the limits of the text beside it.
func emfSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/emf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("emf.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("emf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// emfLines checks each line against the format, and returns it.
func emfLines(t rapid.TB, schema *jsonschema.Schema, b *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(b.String()) {
		if len(text) > 1<<20 || !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}\n") {
			t.Fatalf("no bare line of JSON: %.100s", text)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err == nil {
			err = schema.Validate(document)
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		checkTargets(t, line)
		all = append(all, line)
	}
	b.Reset()
	return all
}

// checkTargets checks what a schema cannot say: what the directives name is there, as what it must be.
func checkTargets(t rapid.TB, line map[string]any) {
	t.Helper()
	for _, directive := range line["_aws"].(map[string]any)["CloudWatchMetrics"].([]any) {
		for _, set := range directive.(map[string]any)["Dimensions"].([]any) {
			for _, name := range set.([]any) {
				if value, ok := line[name.(string)].(string); !ok || value == "" || len(value) > 1024 || value[0] == ':' {
					t.Errorf("dimension %s is %v", name, line[name.(string)])
				}
			}
		}
		for _, metric := range directive.(map[string]any)["Metrics"].([]any) {
			name := metric.(map[string]any)["Name"].(string)
			switch value := line[name].(type) {
			case float64:
			case map[string]any:
				checkDistribution(t, name, value)
			default:
				t.Errorf("metric %s is %v", name, value)
			}
		}
	}
}

func checkDistribution(t rapid.TB, name string, d map[string]any) {
	t.Helper()
	values, counts := d["Values"].([]any), d["Counts"].([]any)
	if len(values) != len(counts) || len(values) == 0 || len(values) > 100 {
		t.Errorf("%s has %d values and %d counts", name, len(values), len(counts))
	}
	total := 0.0
	for i := range counts {
		total += counts[i].(float64)
		if v := values[i].(float64); v < d["Min"].(float64) || v > d["Max"].(float64) || i > 0 && v <= values[i-1].(float64) {
			t.Errorf("%s: value %d is %g in %v", name, i, v, d)
		}
	}
	if total != d["Count"].(float64) {
		t.Errorf("%s: %g counts, said to be %g", name, total, d["Count"])
	}
}

func newEMF(w io.Writer) *telemetry.EMF {
	return telemetry.NewEMF(w, telemetry.Config{ServiceName: "shop", MetricsNamespace: "millrace"})
}

func TestEMFCountsOutcomes(t *testing.T) {
	t.Parallel()
	schema := emfSchema(t)
	failure := errors.New("refused")
	done := outcome(function.Done, nil)
	done.Emitted = []event.Event{newEvent("2", "sent"), newEvent("3", "sent")}
	took := outcome(function.Done, nil)
	took.Took = time.Second
	for _, test := range []struct {
		name    string
		outcome *pipeline.Outcome
		want    string
	}{
		{"done", done, "mailer kafka_messages_consumed_total=1 kafka_messages_done_total=1 kafka_events_emitted_total=2"},
		{"dropped", outcome(function.Dropped, function.Drop("seen")), "mailer kafka_messages_consumed_total=1 kafka_messages_dropped_total=1"},
		{"unaccepted", unaccepted("orders", "strange"), "none kafka_messages_consumed_total=1 kafka_messages_unaccepted_total=1"},
		{"failed", outcome(function.Retry, failure), "mailer kafka_retries_total=1 kafka_processing_errors_total=1"},
		{
			"dead letter", outcome(function.DeadLetter, function.Permanent(failure)),
			"mailer kafka_messages_consumed_total=1 kafka_dead_letters_total=1 kafka_processing_errors_total=1",
		},
		{"unavailable", outcome(function.Broken, function.Unavailable("smtp", failure)), "mailer kafka_unavailable_total=1"},
		{"waits", outcome(function.Broken, &function.WaitError{Circuit: "smtp", Err: failure}), ""},
		{
			"took a second", took,
			"mailer kafka_messages_consumed_total=1 kafka_messages_done_total=1 " +
				"kafka_handler_duration_seconds=map[Count:1 Counts:[1] Max:1 Min:1 Sum:1 Values:[1]]",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			m := newEMF(&b)
			m.Observe(test.outcome)
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := told(emfLines(t, schema, &b), "function"); got != test.want {
				t.Errorf("got\n%s, want\n%s", got, test.want)
			}
		})
	}
}

// told is what lines say of a dimension: its value, and the metrics in their order.
func told(lines []map[string]any, dimension string) string {
	var all []string
	for _, line := range lines {
		text := []string{fmt.Sprint(line[dimension])}
		directive := line["_aws"].(map[string]any)["CloudWatchMetrics"].([]any)[0].(map[string]any)
		for _, metric := range directive["Metrics"].([]any) {
			name := metric.(map[string]any)["Name"].(string)
			text = append(text, fmt.Sprintf("%s=%v", name, line[name]))
		}
		all = append(all, strings.Join(text, " "))
	}
	return strings.Join(all, "\n")
}

func TestEMFLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in the bubble it is midnight, 2000-01-01 in UTC
		var b bytes.Buffer
		m := newEMF(&b)
		m.Observe(outcome(function.Done, nil))
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		want := `{"_aws":{"CloudWatchMetrics":[{"Namespace":"millrace","Dimensions":[["service","function"]],"Metrics":[` +
			`{"Name":"kafka_messages_consumed_total","Unit":"Count"},{"Name":"kafka_messages_done_total","Unit":"Count"}]}],` +
			`"Timestamp":946684800000},"function":"mailer","kafka_messages_consumed_total":1,"kafka_messages_done_total":1,"service":"shop"}` + "\n"
		if b.String() != want {
			t.Errorf("got  %s\nwant %s", &b, want)
		}
	})
}

func TestEMFBeginsAnewAfterFlush(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	m := newEMF(&b)
	observe := func() {
		m.Observe(outcome(function.Done, nil))
		m.HandedBack(3)
		m.CircuitChanged(breaker.Change{Dependency: "smtp", To: breaker.Open})
		m.CircuitChanged(breaker.Change{Dependency: "smtp", To: breaker.Closed})
	}
	schema, previous := emfSchema(t), ""
	for range 2 {
		observe()
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		lines := emfLines(t, schema, &b)
		if len(lines) != 3 || lines[1]["dependency"] != "smtp" || lines[1]["circuit_openings_total"] != 1.0 || lines[2]["kafka_messages_handed_back_total"] != 3.0 {
			t.Fatalf("got %v", lines)
		}
		if got := told(lines, "service"); previous != "" && got != previous {
			t.Errorf("got\n%s, before\n%s", got, previous)
		} else {
			previous = got
		}
		if err := m.Flush(); err != nil || b.Len() > 0 {
			t.Errorf("nothing happened: %s, %v", &b, err)
		}
	}
}

func TestEMFMakesDimensionsOfAnyName(t *testing.T) {
	t.Parallel()
	schema := emfSchema(t)
	for name, want := range map[string]string{
		"": "other", "shop": "shop", ": shop": "shop", "mühle\n": "m?hle?", strings.Repeat("x", 2000): strings.Repeat("x", 1024),
	} {
		var b bytes.Buffer
		m := telemetry.NewEMF(&b, telemetry.Config{ServiceName: name})
		m.HandedBack(1)
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := emfLines(t, schema, &b)[0]["service"]; got != want {
			t.Errorf("%q: got %q", name, got)
		}
	}
}

func TestEMFKeepsTheLimits(t *testing.T) {
	t.Parallel()
	schema := emfSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		m := telemetry.NewEMF(&b, telemetry.Config{ServiceName: rapid.String().Draw(t, "service")})
		for _, took := range rapid.SliceOfN(rapid.Int64(), 1, 2000).Draw(t, "durations") {
			o := outcome(function.Verdict(took&3), errors.New("refused"))
			o.Took = time.Duration(took)
			m.Observe(o)
		}
		for i := range rapid.IntRange(0, 200).Draw(t, "dependencies") {
			m.CircuitChanged(breaker.Change{Dependency: fmt.Sprint(i), To: breaker.Open})
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		if lines := emfLines(t, schema, &b); len(lines) > 60 {
			t.Errorf("%d lines", len(lines))
		}
	})
}

func TestEMFDurationsAreNearlyExact(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	m := newEMF(&b)
	const from, to = 200, 700
	for ms := from; ms < to; ms++ {
		o := outcome(function.Done, nil)
		o.Took = time.Duration(ms) * time.Millisecond
		m.Observe(o)
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	d := emfLines(t, emfSchema(t), &b)[0]["kafka_handler_duration_seconds"].(map[string]any)
	for _, quantile := range []float64{.5, .99} {
		rank, exact := quantile*(to-from), (from+quantile*(to-from))/1000
		for i, count := range d["Counts"].([]any) {
			if rank -= count.(float64); rank > 0 {
				continue
			}
			if got := d["Values"].([]any)[i].(float64); got < exact*.96 || got > exact*1.04 {
				t.Errorf("quantile %g is %g, want %g", quantile, got, exact)
			}
			break
		}
	}
	if sum := d["Sum"].(float64); sum < 224.7 || sum > 224.8 || d["Min"] != 0.2 || d["Max"] != 0.699 {
		t.Errorf("got %v", d)
	}
}

func TestEMFDurationsOfEveryLengthAreAHundredValues(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	m := newEMF(&b)
	for took := time.Microsecond; took < time.Hour; took += took/50 + 1 {
		o := outcome(function.Done, nil)
		o.Took = took
		m.Observe(o)
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	d := emfLines(t, emfSchema(t), &b)[0]["kafka_handler_duration_seconds"].(map[string]any)
	if values := d["Values"].([]any); len(values) < 50 || d["Min"] != 1e-6 || d["Max"].(float64) < 3500 {
		t.Errorf("got %d values from %g to %g", len(values), d["Min"], d["Max"])
	}
}

func TestEMFConcurrently(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	m := newEMF(&b)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				m.Observe(outcome(function.Done, nil))
				m.HandedBack(1)
			}
		})
	}
	group.Wait()
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	if lines := emfLines(t, emfSchema(t), &b); lines[0]["kafka_messages_done_total"] != 8000.0 || lines[1]["kafka_messages_handed_back_total"] != 8000.0 {
		t.Errorf("got %v", lines)
	}
}

func TestEMFTellsThatItCannotWrite(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.Close()
	m := newEMF(w)
	m.HandedBack(1)
	if err := m.Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

//nolint:paralleltest // testing.AllocsPerRun refuses to run beside others
func TestEMFObserveDoesNotAllocate(t *testing.T) {
	m, o := newEMF(io.Discard), hotOutcome()
	if n := testing.AllocsPerRun(1000, func() { m.Observe(o) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
