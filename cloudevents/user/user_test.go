package user_test

import (
	"testing"

	"github.com/millrace/millrace/cloudevents/user"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	type payload interface {
		EventType() string
		AggregateID() string
	}
	for want, p := range map[string]payload{
		"dev.millrace.user.registered.v1": user.Registered{UserID: "u-1", Email: "ada@example.com"},
		"dev.millrace.user.logged-in.v1":  user.LoggedIn{UserID: "u-1", Email: "ada@example.com"},
	} {
		if p.EventType() != want || p.AggregateID() != "u-1" {
			t.Errorf("%T has type %s and aggregate %s", p, p.EventType(), p.AggregateID())
		}
	}
}
