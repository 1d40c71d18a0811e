package notificationrequested

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/functions/notification-requested/internal/mailer"
	"github.com/millrace/millrace/functions/notification-requested/internal/webhook"
	"github.com/millrace/millrace/functions/notification-requested/templates"
	"github.com/millrace/millrace/runtime/function"
)

// maxEventID is the longest id that a receipt takes: see notification.Delivery.
const maxEventID = 256

// delivery is the handler of requests.
type delivery struct {
	from      *mail.Address
	domain    string
	templates *templates.Set
	mailer    *mailer.Mailer
	webhook   *webhook.Client
}

func (d *delivery) handle(
	ctx context.Context, e event.Event, wanted notification.Requested,
) ([]event.Event, error) {
	if utf8.RuneCountInString(e.ID()) > maxEventID {
		return nil, function.Permanent(fmt.Errorf("the event's id has more than %d characters: no receipt could name it", maxEventID))
	}
	words, err := d.templates.Render(wanted.Template, wanted.Data)
	if err != nil {
		return nil, function.Permanent(err)
	}
	receipt, err := d.deliver(ctx, e, wanted, words)
	if err != nil {
		return nil, err
	}
	return function.Emit(e, fact(receipt), notification.Sent{Delivery: receipt})
}

// deliver hands the words to the channel and returns the receipt.
func (d *delivery) deliver(
	ctx context.Context, e event.Event, wanted notification.Requested, words templates.Words,
) (notification.Delivery, error) {
	var (
		provider string
		err      error
	)
	switch wanted.Channel {
	case notification.Email:
		provider, err = d.email(ctx, e, wanted, words)
	case notification.SMS, notification.AdminAlert:
		provider, err = d.post(ctx, e, wanted, words)
	default:
		err = function.Permanent(fmt.Errorf("unknown channel %.64q", wanted.Channel))
	}
	return notification.Delivery{
		Aggregate:         e.Subject(),
		NotificationID:    e.ID(),
		Channel:           wanted.Channel,
		Recipient:         wanted.Recipient,
		Template:          wanted.Template,
		ProviderMessageID: provider,
		SentAt:            time.Now().UTC(),
	}, err
}

// fact is the event that names the channel.
func fact(receipt notification.Delivery) function.Payload {
	switch receipt.Channel {
	case notification.SMS:
		return notification.SmsSent{Delivery: receipt}
	case notification.AdminAlert:
		return notification.AdminAlerted{Delivery: receipt}
	default:
		return notification.EmailSent{Delivery: receipt}
	}
}

// safeID is what may stand in a Message-ID and a webhook-id as it is.
var safeID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// messageID names the message of e to whoever delivers it: the event's id, or a hash of one that has other characters.
func messageID(e event.Event) string {
	if safeID.MatchString(e.ID()) {
		return e.ID()
	}
	sum := sha256.Sum256([]byte(e.ID()))
	return hex.EncodeToString(sum[:])
}

// occurredAt is the time of e, or now for an event without one.
func occurredAt(e event.Event) time.Time {
	if e.Time().IsZero() {
		return time.Now().UTC()
	}
	return e.Time().UTC()
}
