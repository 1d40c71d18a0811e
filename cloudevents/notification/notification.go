// Package notification has the wish that somebody be told something, and the facts about how that went.
//
// Its events are keyed by their recipient, not by their aggregate: what one customer is told keeps its order. Those
// without a recipient, the alerts to the shop's own people, are keyed by their aggregate.
//
// It imports cloudevents/money and the JSON packages; nothing of the runtime.
package notification

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Topic is where events about notifications are published.
const Topic = "notification-events"

// The CloudEvents types of this package.
const (
	RequestedType    = "dev.millrace.notification.requested.v1"
	EmailSentType    = "dev.millrace.notification.email-sent.v1"
	SmsSentType      = "dev.millrace.notification.sms-sent.v1"
	AdminAlertedType = "dev.millrace.notification.admin-alerted.v1"
	SentType         = "dev.millrace.notification.sent.v1"
	FailedType       = "dev.millrace.notification.failed.v1"
)

// Channel is the way by which somebody is told. Others than the constants can be read: whoever delivers refuses them.
type Channel string

// The channels.
const (
	Email      Channel = "email"
	SMS        Channel = "sms"
	AdminAlert Channel = "admin_alert"
)

// Requested asks that somebody be told something.
type Requested struct {
	// Aggregate is the id of the notification, such as "notification-" and the order's id. It travels as the event's
	// subject, not in its data: it is empty in what was read.
	Aggregate string  `json:"-"`
	Channel   Channel `json:"type" jsonschema:"required,minLength=1,maxLength=64"`
	// Recipient is the id of a customer or user, empty for AdminAlert.
	Recipient string `json:"recipient,omitzero" jsonschema:"maxLength=256"`
	// Template names the text. [Requested.With] sets it together with Data.
	Template string `json:"template" jsonschema:"required,minLength=1,maxLength=256"`
	// Data is the JSON object that the template is filled from, digit for digit as it was written.
	Data jsontext.Value `json:"data,omitzero"`
}

// Delivery says which notification was delivered, and how.
type Delivery struct {
	// Aggregate is the id of the notification, as in [Requested]: the subject of the event that asked for it.
	Aggregate string `json:"-"`
	// NotificationID is the id of the event that asked for the notification.
	NotificationID string  `json:"notificationId" jsonschema:"required,minLength=1,maxLength=256"`
	Channel        Channel `json:"type" jsonschema:"required,minLength=1,maxLength=64"`
	Recipient      string  `json:"recipient,omitzero" jsonschema:"maxLength=256"`
	Template       string  `json:"template,omitzero" jsonschema:"maxLength=256"`
	// ProviderMessageID is what the mail server or provider calls the message.
	ProviderMessageID string    `json:"providerMessageId,omitzero"`
	SentAt            time.Time `json:"sentAt,omitzero"`
}

// EmailSent says that a mail server took an email.
type EmailSent struct{ Delivery }

// SmsSent says that a provider took a text message.
type SmsSent struct{ Delivery }

// AdminAlerted says that the shop's own people were alerted.
type AdminAlerted struct{ Delivery }

// Sent says that a notification was delivered, whatever its channel.
type Sent struct{ Delivery }

// Failed says that a notification cannot be delivered.
type Failed struct {
	// Aggregate is the id of the notification, as in [Requested]: the subject of the event that asked for it.
	Aggregate string `json:"-"`
	// NotificationID is the id of the event that asked for the notification.
	NotificationID string    `json:"notificationId" jsonschema:"required,minLength=1,maxLength=256"`
	Channel        Channel   `json:"type" jsonschema:"required,minLength=1,maxLength=64"`
	Recipient      string    `json:"recipient,omitzero" jsonschema:"maxLength=256"`
	Template       string    `json:"template,omitzero" jsonschema:"maxLength=256"`
	Reason         string    `json:"reason,omitzero"`
	FailedAt       time.Time `json:"failedAt,omitzero"`
}

// EventType returns [RequestedType].
func (Requested) EventType() string { return RequestedType }

// AggregateID returns the notification's id.
func (r Requested) AggregateID() string { return r.Aggregate }

// PartitionKey returns the recipient, or the notification's id where nobody is named.
func (r Requested) PartitionKey() string { return key(r.Recipient, r.Aggregate) }

// AggregateID returns the notification's id.
func (d Delivery) AggregateID() string { return d.Aggregate }

// PartitionKey returns the recipient, or the notification's id where nobody is named.
func (d Delivery) PartitionKey() string { return key(d.Recipient, d.Aggregate) }

// EventType returns [EmailSentType].
func (EmailSent) EventType() string { return EmailSentType }

// EventType returns [SmsSentType].
func (SmsSent) EventType() string { return SmsSentType }

// EventType returns [AdminAlertedType].
func (AdminAlerted) EventType() string { return AdminAlertedType }

// EventType returns [SentType].
func (Sent) EventType() string { return SentType }

// EventType returns [FailedType].
func (Failed) EventType() string { return FailedType }

// AggregateID returns the notification's id.
func (f Failed) AggregateID() string { return f.Aggregate }

// PartitionKey returns the recipient, or the notification's id where nobody is named.
func (f Failed) PartitionKey() string { return key(f.Recipient, f.Aggregate) }

func key(recipient, aggregate string) string {
	if recipient != "" {
		return recipient
	}
	return aggregate
}
