package request_test

import (
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/functions/internal/request"
	"github.com/millrace/millrace/runtime/function"
)

func TestOccurredAt(t *testing.T) {
	t.Parallel()
	own := time.Date(2023, 12, 1, 9, 0, 0, 0, time.FixedZone("CET", 3600))
	e := event.New()
	if got := request.OccurredAt(e, own).Format(time.RFC3339); got != "2023-12-01T08:00:00Z" {
		t.Errorf("an event without a time: got %s, want the payload's date in UTC", got)
	}
	e.SetTime(own.Add(time.Minute))
	if got := request.OccurredAt(e, own).Format(time.RFC3339); got != "2023-12-01T08:01:00Z" {
		t.Errorf("got %s, want the event's time in UTC", got)
	}
}

// list is content that is no JSON object.
type list []string

func (list) Template() string { return "list" }

func TestEmitRefusesWhatNoTemplateCanBeFilledWith(t *testing.T) {
	t.Parallel()
	out, err := request.Emit(event.New(), notification.Requested{}, list{"a"})
	if out != nil || function.VerdictOf(err) != function.DeadLetter {
		t.Errorf("got %v, %v, want a permanent error", out, err)
	}
}
