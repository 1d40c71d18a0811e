package stack

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/template"
)

func TestAScheduleCallsAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 210*time.Second)
		defer cancel()
		begin := time.Now()
		var calls []time.Duration
		err := call(ctx, template.Schedule{Name: "Chores", Every: time.Minute}, func(_ context.Context, event []byte) (process.Result, error) {
			calls = append(calls, time.Since(begin))
			var e struct {
				Source string `json:"source"`
				Type   string `json:"detail-type"` //nolint:tagliatelle // EventBridge's name
			}
			if err := json.Unmarshal(event, &e); err != nil || e.Source != "aws.events" || e.Type != "Scheduled Event" {
				t.Errorf("%s: %v", event, err)
			}
			return process.Result{}, nil
		})
		if want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}; err != nil || !slices.Equal(calls, want) {
			t.Errorf("calls at %v, %v", calls, err)
		}
	})
}

func TestACallThatRunsAtTheEndGetsAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		begin := time.Now()
		err := call(ctx, template.Schedule{Every: time.Minute}, func(ctx context.Context, _ []byte) (process.Result, error) {
			<-ctx.Done()
			return process.Result{}, ctx.Err()
		})
		if took := time.Since(begin); err != nil || took != 90*time.Second+scheduleDrain {
			t.Errorf("it took %s: %v", took, err)
		}
	})
}

func TestACallThatCannotBeMadeEndsTheStack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := call(t.Context(), template.Schedule{Name: "Chores", Every: time.Minute}, func(context.Context, []byte) (process.Result, error) {
			return process.Result{}, process.ErrClosed
		})
		if !errors.Is(err, process.ErrClosed) {
			t.Errorf("call() = %v", err)
		}
	})
}

func TestTheInputOfASchedule(t *testing.T) {
	t.Parallel()
	if got := payload(template.Schedule{Input: `{"a":1}`}, time.Now()); string(got) != `{"a":1}` {
		t.Errorf("got %s", got)
	}
}

func TestWhichSchedulesCall(t *testing.T) {
	t.Parallel()
	m := &member{Function: Function{Function: template.Function{LogicalID: "F", Schedules: []template.Schedule{
		{Name: "a", Every: time.Minute, Enabled: true}, {Name: "b", Every: time.Minute}, {Name: "c", Enabled: true},
	}}}}
	if got := (&Stack{}).schedules(m); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("got %+v", got)
	}
	if got := (&Stack{options: Options{Debug: "F"}}).schedules(m); len(got) != 0 {
		t.Errorf("a function that is started by hand is called by %+v", got)
	}
}
