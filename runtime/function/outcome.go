package function

import (
	"errors"
	"fmt"
	"time"
)

// Verdict says what becomes of a record whose handler returned.
type Verdict int

// The verdicts, from the error that a handler returned.
const (
	// Done: the record is finished.
	Done Verdict = iota
	// Retry: the handler is called again after a back-off, as often as the function's attempts allow; then the record
	// is dead-lettered.
	Retry
	// DeadLetter: the record is dead-lettered now.
	DeadLetter
	// Broken: something that the handler needs is down. The record waits; no attempt is spent and nothing is
	// dead-lettered, however long it takes.
	Broken
	// Dropped: the record is finished on purpose, without an effect.
	Dropped
)

// String returns the verdict as it stands in logs and metrics.
func (v Verdict) String() string {
	switch v {
	case Done:
		return "done"
	case Retry:
		return "retry"
	case DeadLetter:
		return "dead-letter"
	case Broken:
		return "unavailable"
	case Dropped:
		return "dropped"
	}
	return fmt.Sprintf("verdict %d", int(v))
}

// PermanentError marks a failure that no further attempt can mend. Make one with [Permanent].
type PermanentError struct {
	// Class names the kind of failure in the dead letter: "permanent", "schema", "undecodable", …
	Class string
	Err   error
}

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the failure itself.
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryAfterError asks for the next attempt after a given time. Make one with [RetryAfter].
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }

// Unwrap returns the failure itself.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// UnavailableError says that a dependency is down. Make one with [Unavailable].
type UnavailableError struct {
	Dependency string
	Err        error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s is unavailable: %v", e.Dependency, e.Err)
}

// Unwrap returns the failure itself.
func (e *UnavailableError) Unwrap() error { return e.Err }

// WaitError says that the record must wait for something that is nobody's failure: a circuit that is open, a claim that
// somebody else holds. No attempt is spent, and no circuit counts it. After is when to try again; 0 leaves it to the
// runtime.
type WaitError struct {
	After time.Duration
	// Circuit names the dependency whose circuit is open, empty where the wait is for something else.
	Circuit string
	Err     error
}

func (e *WaitError) Error() string { return e.Err.Error() }

// Unwrap returns what is waited for.
func (e *WaitError) Unwrap() error { return e.Err }

// DropError finishes a record without an effect. Make one with [Drop].
type DropError struct{ Reason string }

func (e *DropError) Error() string { return "dropped: " + e.Reason }

// Permanent returns an error that dead-letters the record now: trying again would fail in the same way.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{Class: "permanent", Err: err}
}

// RetryAfter returns an error that asks for the next attempt no sooner than d from now, in place of the back-off that
// would come. It counts as an attempt. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &RetryAfterError{After: d, Err: err}
}

// Unavailable returns an error that says: not the event is broken, the dependency is (a refused connection, a provider
// that answers 503). The record waits and no attempt is spent. Name a dependency always by the same word: it is a label
// of metrics and the name of its circuit breaker. Unavailable(dependency, nil) is nil.
func Unavailable(dependency string, err error) error {
	if err == nil {
		return nil
	}
	return &UnavailableError{Dependency: dependency, Err: err}
}

// Drop returns an error that finishes the record on purpose without an effect, for a reason that is counted and logged.
func Drop(reason string) error { return &DropError{Reason: reason} }

// ErrPassedBy finishes a record that is not the function's business, as [PassBy] does: like a [Drop], but no news. It is counted,
// and logged at debug only.
var ErrPassedBy = Drop("not the function's business")

// VerdictOf tells what err asks for. Wrapped errors count; where several are wrapped in one, Drop goes before
// Permanent, Permanent before Unavailable.
func VerdictOf(err error) Verdict {
	switch {
	case err == nil:
		return Done
	case is[*DropError](err):
		return Dropped
	case is[*PermanentError](err):
		return DeadLetter
	case is[*UnavailableError](err), is[*WaitError](err):
		return Broken
	default:
		return Retry
	}
}

// is tells whether err is, or wraps, an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// PanicError is what a handler's panic becomes. It counts as a failed attempt.
type PanicError struct {
	Value any
	// Stack is the goroutine's stack, at most 4 KiB.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }
