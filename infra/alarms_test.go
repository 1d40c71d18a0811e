package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

func TestEveryFunctionHasAlarms(t *testing.T) {
	t.Parallel()
	template, all := programs(t)
	metrics := map[string][]string{}
	for _, alarm := range resources(t, template, "AWS::CloudWatch::Alarm") {
		if alarm["MetricName"] == nil {
			continue // TestDeadLettersRaiseAnAlarm
		}
		about := at(t, alarm, "Dimensions", 0, "Value", "Ref").(string)
		metrics[about] = append(metrics[about], alarm["MetricName"].(string))
	}
	for _, f := range all {
		slices.Sort(metrics[f.id])
		want := []string{"Errors", "OffsetLag"}
		if f.service.Name != "" {
			want = []string{"Errors", "Url5xxCount"}
		}
		if diff := cmp.Diff(want, metrics[f.id]); diff != "" {
			t.Errorf("%s: %s", f.id, diff)
		}
		if f.service.Name != "" {
			continue
		}
		// SAM calls the mapping by the names of function and event.
		if diff := cmp.Diff([]string{"DroppedEventCount"}, metrics[f.id+"Records"]); diff != "" {
			t.Errorf("the mapping of %s: %s", f.id, diff)
		}
	}
}

// The alarm watches the very metrics that a function writes for its dead letters, with event and without.
func TestDeadLettersRaiseAnAlarm(t *testing.T) {
	t.Parallel()
	template, functions := onLambda(t)
	watched := map[string]bool{}
	for _, alarm := range resources(t, template, "AWS::CloudWatch::Alarm") {
		if alarm["Metrics"] == nil {
			continue
		}
		for _, metric := range alarm["Metrics"].([]any) {
			if metric.(object)["MetricStat"] != nil {
				watched[watchedMetric(t, at(t, metric, "MetricStat", "Metric"))] = true
			}
		}
	}
	for _, f := range functions {
		for _, metric := range writtenMetrics(t, f.spec.Name) {
			if !watched[metric] {
				t.Errorf("no alarm watches %s, which %s writes for a dead letter", metric, f.id)
			}
			delete(watched, metric)
		}
	}
	for metric := range watched {
		t.Errorf("an alarm watches %s, which no function writes", metric)
	}
}

func watchedMetric(t *testing.T, metric any) string {
	t.Helper()
	dimensions := map[string]any{}
	for _, d := range at(t, metric, "Dimensions").([]any) {
		dimensions[at(t, d, "Name").(string)] = at(t, d, "Value")
	}
	return fmt.Sprint(at(t, metric, "Namespace", "Ref"), " ", at(t, metric, "MetricName"), " ", dimensions)
}

// writtenMetrics returns the metrics of dead letters that a function writes.
func writtenMetrics(t *testing.T, name string) []string {
	t.Helper()
	var lines bytes.Buffer
	metrics := telemetry.NewEMF(&lines, telemetry.Config{ServiceName: name, MetricsNamespace: "AWS::StackName"})
	for _, called := range []string{name, ""} {
		metrics.Observe(&pipeline.Outcome{Function: called, Record: &pipeline.Record{}, Verdict: function.DeadLetter})
	}
	if err := metrics.Flush(); err != nil {
		t.Fatal(err)
	}
	var written []string
	for line := range strings.Lines(lines.String()) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		directive := at(t, o, "_aws", "CloudWatchMetrics", 0)
		dimensions := map[string]any{}
		for _, name := range at(t, directive, "Dimensions", 0).([]any) {
			dimensions[name.(string)] = at(t, o, name)
		}
		for _, metric := range at(t, directive, "Metrics").([]any) {
			if name := at(t, metric, "Name").(string); strings.Contains(name, "dead_letters") {
				written = append(written, fmt.Sprint(at(t, directive, "Namespace"), " ", name, " ", dimensions))
			}
		}
	}
	if len(written) != 2 {
		t.Errorf("%s writes %q for two dead letters", name, written)
	}
	return written
}

func TestLogsAreNotKeptForEver(t *testing.T) {
	t.Parallel()
	template, functions := programs(t)
	logs := resources(t, template, "AWS::Logs::LogGroup")
	for _, f := range functions {
		group := at(t, f.properties, "LoggingConfig", "LogGroup", "Ref").(string)
		if logs[group] == nil || logs[group]["RetentionInDays"] == nil {
			t.Errorf("%s: its log %s is kept for ever", f.id, group)
		}
	}
}
