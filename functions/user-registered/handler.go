package userregistered

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/user"
	"github.com/millrace/millrace/functions/internal/request"
)

func handle(_ context.Context, e event.Event, registered user.Registered) ([]event.Event, error) {
	return request.Emit(e, notification.Requested{
		Aggregate: "notification-user-" + registered.UserID,
		Channel:   notification.Email,
		Recipient: registered.UserID,
	}, notification.Welcome{
		FirstName:    registered.FirstName,
		Email:        registered.Email,
		RegisteredAt: request.OccurredAt(e, registered.RegisteredAt),
	})
}
