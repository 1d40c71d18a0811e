package notificationrequested

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/wneessen/go-mail"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/functions/notification-requested/templates"
	"github.com/millrace/millrace/runtime/function"
)

// email sends words to the recipient's mailbox and returns the mail's Message-ID.
func (d *delivery) email(
	ctx context.Context, e event.Event, wanted notification.Requested, words templates.Words,
) (string, error) {
	to, err := addressOf(wanted.Recipient, wanted.Data, d.domain)
	if err != nil {
		return "", function.Permanent(err)
	}
	message, err := d.compose(e, to, words)
	if err != nil {
		return "", function.Permanent(fmt.Errorf("composing the mail: %w", err))
	}
	return message.GetMessageID(), d.mailer.Send(ctx, message)
}

func (d *delivery) compose(e event.Event, to string, words templates.Words) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.FromFormat(d.from.Name, d.from.Address); err != nil {
		return nil, err
	}
	if err := m.To(to); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(d.from.Address, "@")
	m.SetMessageIDWithValue(messageID(e) + "@" + domain)
	m.SetDateWithValue(occurredAt(e))
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: out-of-office programs stay silent.
	m.Subject(words.Subject)
	m.SetBodyString(mail.TypeTextPlain, words.Text)
	m.AddAlternativeString(mail.TypeTextHTML, words.HTML)
	return m, nil
}

// posted is the body of a webhook.
type posted struct {
	Type      string        `json:"type"`
	Timestamp time.Time     `json:"timestamp"`
	Data      postedMessage `json:"data"`
}

type postedMessage struct {
	NotificationID string         `json:"notificationId"`
	Recipient      string         `json:"recipient,omitzero"`
	Template       string         `json:"template"`
	Subject        string         `json:"subject"`
	Text           string         `json:"text"`
	Data           jsontext.Value `json:"data,omitzero"`
}

// post hands words to the receiver of the webhook and returns the webhook's id.
func (d *delivery) post(
	ctx context.Context, e event.Event, wanted notification.Requested, words templates.Words,
) (string, error) {
	if !isPlain(wanted.Recipient) {
		return "", function.Permanent(errControl)
	}
	if wanted.Channel == notification.SMS && wanted.Recipient == "" {
		return "", function.Permanent(errNoRecipient)
	}
	body, err := json.Marshal(posted{
		Type:      "notification." + string(wanted.Channel),
		Timestamp: occurredAt(e),
		Data: postedMessage{
			NotificationID: e.ID(),
			Recipient:      wanted.Recipient,
			Template:       wanted.Template,
			Subject:        words.Subject,
			Text:           words.Text,
			Data:           wanted.Data,
		},
	})
	if err != nil {
		return "", function.Permanent(fmt.Errorf("composing the webhook: %w", err))
	}
	id := messageID(e)
	return id, d.webhook.Post(ctx, id, body)
}
