// Package request makes the NotificationRequested events of the functions that only ask for a notification.
//
// It imports runtime/function, cloudevents/notification and the SDK's event package.
package request

import (
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/runtime/function"
)

// Source is the source of every event about notifications: to whoever reads them the functions are one service.
const Source = "/notification-service"

// Emit returns the event that asks for r, filled with content, as the answer of a handler to parent.
func Emit(parent event.Event, r notification.Requested, content notification.Content) ([]event.Event, error) {
	filled, err := r.With(content)
	if err != nil {
		return nil, function.Permanent(err)
	}
	return function.Emit(parent, filled)
}

// OccurredAt is when the fact of e happened, in UTC: the time of the event, as in the tutorial. own, a date of the
// payload, stands in for events without a time.
func OccurredAt(e event.Event, own time.Time) time.Time {
	if e.Time().IsZero() {
		return own.UTC()
	}
	return e.Time().UTC()
}
