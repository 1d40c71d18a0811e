package conformance

import (
	"errors"
	"time"

	"github.com/millrace/millrace/runtime/chaos"
	"github.com/millrace/millrace/runtime/function"
)

// Answer is a handler's error on its way to a child. It is exported because net/rpc wants that.
type Answer struct {
	Verdict    function.Verdict
	Text       string
	After      time.Duration
	Dependency string
	Crash      bool
	Panics     bool
}

func answerOf(err error) Answer {
	if err == nil {
		return Answer{}
	}
	a := Answer{Verdict: function.VerdictOf(err), Text: err.Error(), Crash: errors.Is(err, errCrash)}
	if retry, ok := errors.AsType[*function.RetryAfterError](err); ok {
		a.After = retry.After
	}
	if unavailable, ok := errors.AsType[*function.UnavailableError](err); ok {
		a.Text, a.Dependency = unavailable.Err.Error(), unavailable.Dependency
	}
	if drop, ok := errors.AsType[*function.DropError](err); ok {
		a.Text = drop.Reason
	}
	return a
}

// err returns the error that a was made of, as far as the runtime looks at it. It does not return where the process has
// to crash or the handler to panic.
func (a Answer) err() error {
	switch {
	case a.Crash:
		chaos.Kill()
	case a.Panics:
		panic(a.Text)
	}
	err := errors.New(a.Text)
	switch a.Verdict {
	case function.Done:
		return nil
	case function.Dropped:
		return function.Drop(a.Text)
	case function.DeadLetter:
		return function.Permanent(err)
	case function.Broken:
		return function.Unavailable(a.Dependency, err)
	case function.Retry:
		if a.After > 0 {
			return function.RetryAfter(a.After, err)
		}
	}
	return err
}
