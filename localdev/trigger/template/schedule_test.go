package template_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/localdev/trigger/template"
)

// scheduled is a template whose function has one schedule.
func scheduled(kind, properties string) string {
	return fmt.Sprintf("Transform: AWS::Serverless-2016-10-31\nParameters:\n  Needed: {Type: String}\nResources:\n  F:\n    Type: AWS::Serverless::Function\n"+
		"    Properties:\n      Events:\n        E: {Type: %s, Properties: {%s}}\n", kind, properties)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, properties string
		want             template.Schedule
	}{
		{"Schedule", "Schedule: rate(1 minute)", template.Schedule{Every: time.Minute, Enabled: true}},
		{"Schedule", "Schedule: rate(5 minutes), Enabled: false", template.Schedule{Every: 5 * time.Minute}},
		{"Schedule", "Schedule: rate(2 hours), State: DISABLED", template.Schedule{Every: 2 * time.Hour}},
		{"Schedule", `Schedule: rate(1 day), Input: '{"a":1}'`, template.Schedule{Every: 24 * time.Hour, Input: `{"a":1}`, Enabled: true}},
		{"ScheduleV2", "ScheduleExpression: rate(3 days), State: ENABLED", template.Schedule{Every: 72 * time.Hour, Enabled: true}},
		{"Schedule", "Schedule: rate(99999 days)", template.Schedule{Every: 99999 * 24 * time.Hour, Enabled: true}},
	} {
		t.Run(c.properties, func(t *testing.T) {
			t.Parallel()
			parsed, err := template.Parse([]byte(scheduled(c.kind, c.properties)), nil)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Name = "E"
			if diff := cmp.Diff([]template.Schedule{c.want}, parsed.Functions[0].Schedules); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestScheduleThatIsNotEmulated(t *testing.T) {
	t.Parallel()
	parsed, err := template.Parse([]byte(scheduled("Schedule", "Schedule: cron(0 12 * * ? *)")), nil)
	if err != nil {
		t.Fatal(err)
	}
	warned := slices.ContainsFunc(parsed.Warnings, func(w string) bool { return strings.Contains(w, "cron(0 12 * * ? *) is not emulated here") })
	if s := parsed.Functions[0].Schedules; len(s) != 1 || s[0].Every != 0 || !warned {
		t.Errorf("schedules %+v, warnings %q", s, parsed.Warnings)
	}
}

func TestScheduleRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ properties, want string }{
		{"Enabled: true", "Schedule: is required"},
		{"Schedule: each minute", "must be rate(N minutes)"},
		{"Schedule: rate(100000 days)", "must be rate(N minutes)"},
		{"Schedule: rate(0 minutes)", "must be rate(N minutes)"},
		{"Schedule: rate(1 minutes)", "one minute, and several minutes"},
		{"Schedule: rate(2 hour)", "one hour, and several hours"},
		{"Schedule: !Ref Needed", "must be known here"},
		{"Schedule: rate(1 minute), State: ASLEEP", "must be one of ENABLED, DISABLED"},
	} {
		t.Run(c.properties, func(t *testing.T) {
			t.Parallel()
			_, err := template.Parse([]byte(scheduled("Schedule", c.properties)), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), properties) {
				t.Errorf("%v, want an error at %s with %q", err, properties, c.want)
			}
		})
	}
}
