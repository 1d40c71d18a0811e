package notificationrequested

import (
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/functions/internal/request"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function notification-requested.
var Spec = function.Spec{
	Name:   "notification-requested",
	Topic:  notification.Topic,
	Source: request.Source,
	Emits: []string{
		notification.EmailSentType,
		notification.SmsSentType,
		notification.AdminAlertedType,
		notification.SentType,
	},
	Settings: &settings{},
	New:      newHandler,
}

// newHandler accepts the whole topic: its other types, this function's own answers among them, are known and pass by.
func newHandler(lookup function.Lookup) (function.Handler, error) {
	var s settings
	if err := lookup.Into(&s); err != nil {
		return nil, err
	}
	d, err := s.delivery()
	if err != nil {
		return nil, err
	}
	return function.Route(
		function.On(notification.RequestedType, d.handle),
		function.PassBy(
			notification.EmailSentType,
			notification.SmsSentType,
			notification.AdminAlertedType,
			notification.SentType,
			notification.FailedType,
		),
	), nil
}
