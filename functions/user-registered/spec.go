// Package userregistered answers a new account with the request to welcome its user by email.
//
// It imports runtime/function, payload packages and the SDK's event package.
package userregistered

import (
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/user"
	"github.com/millrace/millrace/functions/internal/request"
	"github.com/millrace/millrace/runtime/function"
)

// Spec describes the function user-registered.
var Spec = function.Spec{
	Name:   "user-registered",
	Topic:  user.Topic,
	Source: request.Source,
	Emits:  []string{notification.RequestedType},
	New: func(function.Lookup) (function.Handler, error) {
		return function.On(user.RegisteredType, handle), nil
	},
}
