package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// lines are what a log holds, one map for each line.
func lines(t *testing.T, b *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(b.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, line)
	}
	b.Reset()
	return all
}

func outcome(verdict function.Verdict, err error) *pipeline.Outcome {
	e := newEvent("event-1", "placed")
	e.DataEncoded = []byte("canary")
	o := &pipeline.Outcome{Function: "mailer", Group: "mail", Record: record("orders"), Event: e, Verdict: verdict, Attempt: 1, Err: err}
	o.Record.Value = e.DataEncoded
	return o
}

func unaccepted(topic, eventType string) *pipeline.Outcome {
	return &pipeline.Outcome{Group: "mail", Record: record(topic), Event: newEvent("event-1", eventType), Verdict: function.Dropped}
}

func TestOutcomeLogLines(t *testing.T) {
	t.Parallel()
	failure := errors.New("refused")
	second := outcome(function.Retry, function.RetryAfter(time.Second, failure))
	second.Attempt = 2
	tests := []struct {
		name    string
		outcome *pipeline.Outcome
		level   string
		want    map[string]any
	}{
		{"done", outcome(function.Done, nil), "DEBUG", map[string]any{"took": "0s", "emitted": 0.0}},
		{"dropped", outcome(function.Dropped, function.Drop("seen")), "INFO", map[string]any{"reason": "dropped: seen"}},
		{"passed by", outcome(function.Dropped, function.ErrPassedBy), "DEBUG", map[string]any{"msg": "passed by"}},
		{"first failure", outcome(function.Retry, failure), "INFO", map[string]any{"error": "refused"}},
		{"second failure", second, "WARN", map[string]any{"error": "refused", "attempt": 2.0}},
		{"unavailable", outcome(function.Broken, function.Unavailable("smtp", failure)), "WARN", map[string]any{"dependency": "smtp", "count": 1.0}},
		{"open circuit", outcome(function.Broken, &function.WaitError{Circuit: "smtp", Err: failure}), "DEBUG", map[string]any{"error": "refused"}},
		{"dead letter", outcome(function.DeadLetter, function.Permanent(failure)), "ERROR", map[string]any{"class": "permanent"}},
		{"unaccepted", unaccepted("orders", "strange"), "WARN", map[string]any{"type": "strange", "function": "", "attempt": 0.0}},
		{"undecodable", &pipeline.Outcome{Group: "mail", Record: record("orders"), Verdict: function.DeadLetter, Err: failure}, "ERROR", map[string]any{"event_id": "", "function": ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{LogLevel: "debug"})).Observe(test.outcome)
			if strings.Contains(b.String(), "canary") {
				t.Errorf("the line shows the payload: %s", b.String())
			}
			got := lines(t, &b)
			if len(got) != 1 || got[0]["level"] != test.level {
				t.Fatalf("got %v, want one line at %s", got, test.level)
			}
			for name, value := range test.want {
				if got[0][name] != value {
					t.Errorf("%s is %v, want %v", name, got[0][name], value)
				}
			}
			for _, name := range []string{"topic", "partition", "offset", "event_id", "function", "consumer_group", "attempt"} {
				if _, ok := got[0][name]; !ok {
					t.Errorf("%s is missing in %v", name, got[0])
				}
			}
		})
	}
}

func TestOutcomeLogTellsTheTrace(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{}))
	traced := outcome(function.DeadLetter, errors.New("refused"))
	traced.Event.SetExtension(function.TraceParent, eventTrace)
	log.Observe(traced)
	log.Observe(outcome(function.DeadLetter, errors.New("refused")))
	got := lines(t, &b)
	if got[0]["trace_id"] != eventTrace[3:35] {
		t.Errorf("got %v", got[0])
	}
	if id, ok := got[1]["trace_id"]; ok {
		t.Errorf("without a trace: %v", id)
	}
}

func TestUnacceptedTypesAreToldOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{}))
		for range 100 {
			log.Observe(unaccepted("orders", "strange"))
		}
		log.Observe(unaccepted("orders", "other type"))
		log.Observe(unaccepted("users", "strange"))
		if got := lines(t, &b); len(got) != 3 {
			t.Errorf("got %d lines, want one for each topic and type: %v", len(got), got)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		log.Observe(unaccepted("orders", "strange"))
		if got := lines(t, &b); len(got) != 0 {
			t.Errorf("within the minute: %v", got)
		}
		time.Sleep(time.Nanosecond)
		log.Observe(unaccepted("orders", "strange"))
		if got := lines(t, &b); len(got) != 1 || got[0]["count"] != 101.0 {
			t.Errorf("after the minute: %v, want a count of 101", got)
		}
	})
}

func TestStrangeTypesCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{}))
		flood := func(name string) int {
			for i := range 100_000 {
				log.Observe(unaccepted("orders", fmt.Sprint(name, i)))
			}
			return len(lines(t, &b))
		}
		const placesAndCrowd = 1024 + 1
		if got := flood("strange"); got != placesAndCrowd {
			t.Errorf("%d lines, want %d", got, placesAndCrowd)
		}
		if got := flood("stranger"); got != 0 {
			t.Errorf("%d lines in the same minute", got)
		}
		time.Sleep(time.Minute)
		if got := flood("stranger"); got != placesAndCrowd {
			t.Errorf("%d lines in the next minute, want %d: the places of the first are free", got, placesAndCrowd)
		}
	})
}

func TestLongTypesAreCut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{}))
	log.Observe(unaccepted("orders", strings.Repeat("x", 1<<20)))
	if got := lines(t, &b); got[0]["type"] != strings.Repeat("x", 256) {
		t.Errorf("the type has %d bytes", len(got[0]["type"].(string)))
	}
}

func TestBrokenDependenciesAreToldEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{}))
		for range 50 {
			log.Observe(outcome(function.Broken, function.Unavailable("smtp", errors.New("refused"))))
			log.Observe(outcome(function.Broken, function.Unavailable("broker", errors.New("refused"))))
		}
		if got := lines(t, &b); len(got) != 2 {
			t.Errorf("got %d lines, want one for each dependency", len(got))
		}
		time.Sleep(10 * time.Second)
		log.Observe(outcome(function.Broken, function.Unavailable("smtp", errors.New("refused"))))
		if got := lines(t, &b); len(got) != 1 || got[0]["count"] != 50.0 {
			t.Errorf("got %v, want a count of 50", got)
		}
	})
}

func TestOutcomeLogKeepsNoEvent(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewOutcomeLog(telemetry.NewLogger(&b, telemetry.Config{}))
	o := unaccepted("orders", "strange")
	log.Observe(o)
	*o = pipeline.Outcome{Group: "mail", Record: record("orders"), Event: event.Event{}, Verdict: function.Dropped}
	log.Observe(o)
	if got := lines(t, &b); len(got) != 2 || got[0]["type"] != "strange" || got[1]["type"] != "" {
		t.Errorf("got %v", got)
	}
}
