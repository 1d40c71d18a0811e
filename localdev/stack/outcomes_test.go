package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

var specs = []function.Spec{
	{Name: "mailer", Topic: "orders", Emits: []string{"mailed"}},
	{Name: "caller", Topic: "orders", Emits: []string{"called", "hung-up"}},
	{Name: "greeter", Topic: "users"},
}

// told is what an observer was told, in words.
type told struct {
	mu       sync.Mutex
	outcomes []string
}

// Observe implements [pipeline.Observer].
func (o *told) Observe(of *pipeline.Outcome) {
	line := fmt.Sprintf("%s %s %s attempt %d", of.Function, of.Record, of.Verdict, of.Attempt)
	if of.Event.Context != nil {
		line += fmt.Sprintf(": %s %s about %s, %v", of.Event.ID(), of.Event.Type(), of.Event.Subject(), of.Event.Extensions())
	}
	for _, e := range of.Emitted {
		line += " → " + e.Type()
	}
	if of.Took > 0 || of.After > 0 {
		line += fmt.Sprintf(" took %s after %s", of.Took, of.After)
	}
	if of.Err != nil {
		line += " " + of.Err.Error()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes = append(o.outcomes, line)
}

// placed is the event of the record at offset 7.
func placed() event.Event {
	e := event.New()
	e.SetID("e-1")
	e.SetSource("/shop")
	e.SetType("placed")
	e.SetSubject("order-1")
	e.SetExtension(function.CorrelationID, "flow-1")
	return e
}

// sent is an event of the trigger with a record at offset 7, and one at 8 that is no event.
func sent(t *testing.T) []byte {
	t.Helper()
	e := placed()
	if err := e.SetData(event.ApplicationJSON, map[string]string{"secret": "canary"}); err != nil {
		t.Fatal(err)
	}
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Topic: "orders", Partition: 2, Offset: 7, Key: []byte("order-1"), Value: m.Value, Timestamp: time.UnixMilli(1764000000000)}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	garbage := &kgo.Record{Topic: "orders", Partition: 2, Offset: 8, Key: []byte("k"), Value: []byte("garbage")}
	return trigger.Encode(template.Mapping{Source: template.MSK, Topic: "orders"}, nil, r, garbage)
}

// outcome is what the function of a process observes.
func outcome(offset int64, of string, v function.Verdict, err error) *pipeline.Outcome {
	o := &pipeline.Outcome{
		Function: of, Group: of, Verdict: v, Attempt: 1, Err: err, Took: 2 * time.Millisecond,
		Record: &pipeline.Record{Topic: "orders", Partition: 2, Offset: offset},
	}
	if offset != 8 {
		o.Event = placed()
	}
	return o
}

// What a process logs of outcomes becomes outcomes again, with what the log does not say taken from the record.
func TestOutcomesComeFromTheLog(t *testing.T) {
	t.Parallel()
	const known = `: e-1 placed about order-1, map[correlationid:flow-1]`
	failed := outcome(7, "mailer", function.Retry, errors.New("refused"))
	failed.After = time.Second
	done := outcome(7, "mailer", function.Done, nil)
	done.Emitted = []event.Event{event.New()}
	two := outcome(7, "caller", function.Done, nil)
	two.Emitted = []event.Event{event.New(), event.New()}
	poison := outcome(8, "", function.DeadLetter, errors.New("neither nor"))
	poison.Attempt = 0
	nobody := outcome(7, "", function.Dropped, nil)
	for name, test := range map[string]struct {
		outcome *pipeline.Outcome
		want    []string
	}{
		"done":        {done, []string{"mailer orders/2@7 done attempt 1" + known + " → mailed took 2ms after 0s"}},
		"two types":   {two, []string{"caller orders/2@7 done attempt 1" + known + " →  →  took 2ms after 0s"}},
		"failed":      {failed, []string{"mailer orders/2@7 retry attempt 1" + known + " took 0s after 1s refused"}},
		"dropped":     {outcome(7, "mailer", function.Dropped, function.Drop("seen")), []string{"mailer orders/2@7 dropped attempt 1" + known + " dropped: seen"}},
		"passed by":   {outcome(7, "mailer", function.Dropped, function.ErrPassedBy), nil},
		"broken":      {outcome(7, "mailer", function.Broken, function.Unavailable("smtp", errors.New("down"))), []string{"mailer orders/2@7 unavailable attempt 1" + known + " smtp is unavailable: down"}},
		"dead letter": {outcome(7, "mailer", function.DeadLetter, errors.New("never")), []string{"mailer orders/2@7 dead-letter attempt 1" + known + " never"}},
		"poison":      {poison, []string{" orders/2@8 dead-letter attempt 0 neither nor"}},
		"unknown":     {outcome(99, "mailer", function.Done, nil), []string{"mailer orders/2@99 done attempt 1: e-1  about , map[] took 2ms after 0s"}},
		"nobody's":    {nobody, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got told
			o := stack.NewOutcomes(specs, &got, slog.New(slog.DiscardHandler))
			f := &stack.Function{Label: "mailer"}
			o.Event(f, sent(t))
			var log bytes.Buffer
			telemetry.NewOutcomeLog(telemetry.NewLogger(&log, telemetry.Config{LogLevel: "debug"})).Observe(test.outcome)
			o.Output(f, log.Bytes())
			if diff := cmp.Diff(test.want, got.outcomes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A type is nobody's when every function of its topic says so.
func TestWhatNoFunctionTakesIsToldOnce(t *testing.T) {
	t.Parallel()
	var got told
	o := stack.NewOutcomes(specs, &got, slog.New(slog.DiscardHandler))
	o.Event(nil, sent(t))
	for range 2 {
		for _, group := range []string{"mailer", "mailer", "caller"} {
			refused := outcome(7, "", function.Dropped, nil)
			refused.Group, refused.Attempt = group, 0
			var log bytes.Buffer
			telemetry.NewOutcomeLog(telemetry.NewLogger(&log, telemetry.Config{LogLevel: "warn"})).Observe(refused)
			o.Output(&stack.Function{Label: group}, log.Bytes())
		}
	}
	once := " orders/2@7 dropped attempt 0: e-1 placed about order-1, map[correlationid:flow-1]"
	if diff := cmp.Diff([]string{once, once}, got.outcomes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOtherLinesAreLogged(t *testing.T) {
	t.Parallel()
	const metrics = `{"Records":3,"_aws":{"Timestamp":1}}`
	for name, test := range map[string]struct{ line, level, want string }{
		"a warning":      {`{"level":"WARN","msg":"look out","service":"mailer","n":1,"timestamp":"t"}`, "warn", `level=WARN msg="look out" process=mailer service=mailer n=1`},
		"too quiet":      {`{"level":"INFO","msg":"hello"}`, "warn", ""},
		"nothing":        {"", "debug", ""},
		"metrics":        {metrics, "debug", ""},
		"no level":       {`{"msg":"hello"}`, "info", `level=INFO msg=hello process=mailer`},
		"a panic":        {"panic: oh no", "warn", `level=WARN msg="the function's process wrote" process=mailer text="panic: oh no"`},
		"cut off":        {`{"level":"WARN","msg":"lo`, "warn", `level=WARN msg="the function's process wrote" process=mailer text="{\"level\":\"WARN\",\"msg\":\"lo"`},
		"an outcome too": {`{"level":"WARN","msg":"the record waits","topic":"orders","attempt":2}`, "warn", `level=WARN msg="the record waits" process=mailer topic=orders attempt=2`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			o := stack.NewOutcomes(specs, &told{}, telemetry.NewLogger(&log, telemetry.Config{LogLevel: test.level, LogFormat: "text"}))
			o.Output(&stack.Function{Label: "mailer"}, []byte(test.line+"\n"))
			_, got, _ := strings.Cut(strings.TrimSuffix(log.String(), "\n"), " ")
			if got != test.want {
				t.Errorf("logged %q, want %q", got, test.want)
			}
		})
	}
}

func TestIsMetrics(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`{"Records":3,"_aws":{"Timestamp":1}}`: true,
		`{"a":{"_aws":{}}}`:                    false,
		`{"msg":"\"_aws\":{"}`:                 false,
		`"_aws":{`:                             false,
		`{"_aws":1}`:                           false,
	} {
		if got := stack.IsMetrics([]byte(line)); got != want {
			t.Errorf("IsMetrics(%s) = %t", line, got)
		}
	}
}

// No line does harm, whoever wrote it.
func FuzzOutput(f *testing.F) {
	f.Add([]byte(`{"level":"DEBUG","msg":"done","topic":"orders","partition":2,"offset":7,"function":"mailer","attempt":1,"emitted":1,"took":"2ms"}`))
	f.Add([]byte(`{"level":"DEBUG","msg":"done","topic":"t","attempt":-1,"emitted":99999999999,"after":"x"}`))
	f.Add([]byte(`{"a":{"b":[1,2,"\ud800"]},"a":1}`))
	f.Add([]byte("panic: \xff"))
	f.Fuzz(func(_ *testing.T, line []byte) {
		o := stack.NewOutcomes(specs, &told{}, telemetry.NewLogger(&bytes.Buffer{}, telemetry.Config{LogLevel: "debug"}))
		o.Event(nil, line)
		o.Output(&stack.Function{Label: "mailer"}, line)
	})
}
