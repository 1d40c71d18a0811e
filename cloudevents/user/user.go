// Package user has the facts about the people who hold an account.
//
// It imports nothing of the runtime.
package user

import "time"

// Topic is where events about users are published. The user's id is the key.
const Topic = "user-events"

// The CloudEvents types of this package.
const (
	RegisteredType = "dev.millrace.user.registered.v1"
	LoggedInType   = "dev.millrace.user.logged-in.v1"
)

// Registered says that somebody opened an account.
type Registered struct {
	UserID       string    `json:"userId" jsonschema:"required,minLength=1,maxLength=256"`
	Email        string    `json:"email,omitzero" jsonschema:"maxLength=320"`
	FirstName    string    `json:"firstName,omitzero"`
	LastName     string    `json:"lastName,omitzero"`
	RegisteredAt time.Time `json:"registeredAt,omitzero"`
}

// LoggedIn says that a user opened a session.
type LoggedIn struct {
	UserID     string    `json:"userId" jsonschema:"required,minLength=1,maxLength=256"`
	Email      string    `json:"email,omitzero" jsonschema:"maxLength=320"`
	IPAddress  string    `json:"ipAddress,omitzero" jsonschema:"maxLength=64"`
	UserAgent  string    `json:"userAgent,omitzero"`
	LoggedInAt time.Time `json:"loggedInAt,omitzero"`
}

// EventType returns [RegisteredType].
func (Registered) EventType() string { return RegisteredType }

// AggregateID returns the user's id.
func (r Registered) AggregateID() string { return r.UserID }

// EventType returns [LoggedInType].
func (LoggedIn) EventType() string { return LoggedInType }

// AggregateID returns the user's id.
func (l LoggedIn) AggregateID() string { return l.UserID }
