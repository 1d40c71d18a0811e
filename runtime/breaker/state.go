package breaker

import (
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
)

// State is the state of a circuit. Its numbers are the values of the metric.
type State int

// The states.
const (
	// Closed: calls go through.
	Closed State = iota
	// HalfOpen: one probe at a time goes through.
	HalfOpen
	// Open: no call goes through.
	Open
)

// String returns the state as it stands in logs and health answers.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half-open"
	case Open:
		return "open"
	}
	return fmt.Sprintf("state %d", int(s))
}

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateOpen:
		return Open
	case gobreaker.StateHalfOpen:
		return HalfOpen
	default:
		return Closed
	}
}

// Stats is what is known of a circuit. Times are zero where there is none.
type Stats struct {
	Dependency string
	State      State
	// Successes and Failures count the calls since the circuit was made; Refused those that did not go through.
	Successes, Failures, Refused uint64
	// Openings is how often the circuit opened, after a failed probe included.
	Openings uint64
	// ConsecutiveFailures and ConsecutiveSuccesses are those in a row in this state. While the circuit is open they are 0.
	ConsecutiveFailures, ConsecutiveSuccesses int
	LastFailure                               time.Time
	// Opened is when the circuit opened, zero while it is closed. NextProbe is when the next probe may go through, while
	// the circuit is open.
	Opened, NextProbe time.Time
}

// OpenError says that a circuit let no call through.
type OpenError struct {
	Dependency string
	// State is Open, or HalfOpen where another call is the probe.
	State State
	// After is when to ask again: some time, a little different for each call, after the next probe is due.
	After time.Duration
	// Cause is what the last failure said.
	Cause string
}

// Error names the dependency and the last failure.
func (e *OpenError) Error() string {
	if e.State == HalfOpen {
		return fmt.Sprintf("the circuit of %s is half-open and another call is its probe; its last failure: %s", e.Dependency, e.Cause)
	}
	return fmt.Sprintf("the circuit of %s is open; its last failure: %s", e.Dependency, e.Cause)
}
