package foreign_test

import (
	"encoding/json"
	"testing"
)

// The types of the events that answer an order's event.
const (
	requestedType = "dev.millrace.notification.requested.v1"
	sentType      = "dev.millrace.notification.sent.v1"
)

// notification is an event on notification-events.
type notification struct {
	id, kind, subject, correlation, causation, key string
	data                                           notificationData
}

type notificationData struct {
	Channel        string `json:"type"`
	Recipient      string `json:"recipient"`
	Template       string `json:"template"`
	NotificationID string `json:"notificationId"`
}

// notifications returns the events of one type on notification-events, by partition and offset.
func (m *millrace) notifications(t *testing.T, kind string) []notification {
	t.Helper()
	var found []notification
	for _, r := range m.read(t, "notification-events") {
		if r.attribute("type") != kind {
			continue
		}
		n := notification{
			id: r.attribute("id"), kind: kind, subject: r.attribute("subject"),
			correlation: r.attribute("correlationid"), causation: r.attribute("causationid"),
		}
		if r.Key != nil {
			n.key = *r.Key
		}
		if r.Payload == nil {
			t.Fatalf("%s %s has no data", kind, n.id)
		}
		if err := json.Unmarshal([]byte(*r.Payload), &n.data); err != nil {
			t.Fatalf("data of %s %s: %v", kind, n.id, err)
		}
		found = append(found, n)
	}
	return found
}

// awaitRequested waits until notifications were asked for because of n different events.
func (m *millrace) awaitRequested(t *testing.T, n int) []notification {
	t.Helper()
	var found []notification
	eventually(t, "notifications", func() bool {
		found = m.notifications(t, requestedType)
		return len(distinct(found, notification.cause)) >= n
	})
	return found
}

// awaitSent waits until n different notifications were delivered.
func (m *millrace) awaitSent(t *testing.T, n int) {
	t.Helper()
	eventually(t, "delivered notifications", func() bool {
		return len(distinct(m.notifications(t, sentType), notification.delivered)) >= n
	})
}

func (n notification) cause() string     { return n.causation }
func (n notification) identity() string  { return n.id }
func (n notification) delivered() string { return n.data.NotificationID }

// distinct counts notifications by something that they have.
func distinct(all []notification, by func(notification) string) map[string]int {
	counts := map[string]int{}
	for _, n := range all {
		counts[by(n)]++
	}
	return counts
}
