package boot

import (
	"bytes"

	"github.com/go-json-experiment/json"
)

// scheduled is what both kinds of schedules of EventBridge send
// (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html).
type scheduled struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"` //nolint:tagliatelle // EventBridge's name
}

const (
	// scheduledType is the detail-type of such an event.
	scheduledType = "Scheduled Event"
	// maxScheduled is larger than any, in bytes.
	maxScheduled = 64 << 10
)

// isScheduled tells whether an event is one of a rule of EventBridge, or of EventBridge Scheduler. Events of triggers may be large:
// they are not decoded for this.
func isScheduled(payload []byte) bool {
	if len(payload) > maxScheduled || !bytes.Contains(payload, []byte(scheduledType)) {
		return false
	}
	var e scheduled
	return json.Unmarshal(payload, &e) == nil && e.DetailType == scheduledType &&
		(e.Source == "aws.events" || e.Source == "aws.scheduler")
}
