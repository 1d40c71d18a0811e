package stack

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/template"
)

// scheduleDrain is how long a call may go on at the end. One that is cut off loses nothing: what it left is due when the next
// comes.
const scheduleDrain = 3 * time.Second

// schedules returns what calls a function from time to time. One that a developer starts by hand is left in peace.
func (s *Stack) schedules(m *member) []template.Schedule {
	if m.LogicalID == s.options.Debug {
		return nil
	}
	var kept []template.Schedule
	for _, schedule := range m.Schedules {
		if schedule.Enabled && schedule.Every > 0 {
			kept = append(kept, schedule)
		}
	}
	return kept
}

// call calls a function as a schedule says until ctx ends. What becomes of a call is told by its process.
func call(ctx context.Context, schedule template.Schedule, invoke func(context.Context, []byte) (process.Result, error)) error {
	tick := time.NewTicker(schedule.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := callOnce(ctx, invoke, payload(schedule, now)); err != nil && ctx.Err() == nil {
				return fmt.Errorf("schedule %s: %w", schedule.Name, err)
			}
		}
	}
}

// callOnce calls the function. When ctx ends, it may still work for scheduleDrain.
func callOnce(ctx context.Context, invoke func(context.Context, []byte) (process.Result, error), event []byte) error {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(scheduleDrain, cancel) })
	defer stop()
	_, err := invoke(working, event)
	return err
}

// payload is what the function gets: the schedule's own, or what EventBridge makes.
func payload(schedule template.Schedule, now time.Time) []byte {
	if schedule.Input != "" {
		return []byte(schedule.Input)
	}
	return fmt.Appendf(nil, `{"version":"0","id":%q,"detail-type":"Scheduled Event","source":"aws.events","account":"123456789012",`+
		`"time":%q,"region":"us-east-1","resources":["arn:aws:events:us-east-1:123456789012:rule/%s"],"detail":{}}`,
		uuid.NewString(), now.UTC().Format(time.RFC3339), schedule.Name)
}
