package paymentprovider

import (
	"fmt"
	"time"
)

// State is how the provider answers charges and refunds.
type State string

// The states.
const (
	// Up books and answers.
	Up State = "up"
	// Declining declines each charge that is new. Refunds go through.
	Declining State = "declining"
	// Down answers 503 and books nothing.
	Down State = "down"
	// Hanging takes requests, books nothing, and never answers.
	Hanging State = "hanging"
	// Losing books and ends the connection without an answer: the caller cannot know.
	Losing State = "losing"
)

// maxDelay is the longest that an answer can be made to wait.
const maxDelay = time.Hour

// Mode is how the provider behaves. The zero Mode is [Up], at once.
type Mode struct {
	State State
	// Delay is how long an answer waits, after what it tells of was booked: up to an hour.
	Delay time.Duration
}

// ModeError says that there is no such mode.
type ModeError struct{ Mode Mode }

func (e *ModeError) Error() string {
	return fmt.Sprintf("mode %.32q with a delay of %s: must be up, declining, down, hanging or losing, and a delay from 0 to %s",
		e.Mode.State, e.Mode.Delay, maxDelay)
}

// complete returns m with its default filled in, or a *ModeError.
func (m Mode) complete() (Mode, error) {
	switch m.State {
	case "":
		m.State = Up
	case Up, Declining, Down, Hanging, Losing:
	default:
		return Mode{}, &ModeError{Mode: m}
	}
	if m.Delay < 0 || m.Delay > maxDelay {
		return Mode{}, &ModeError{Mode: m}
	}
	return m, nil
}
