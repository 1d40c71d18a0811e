package telemetry

import (
	"context"
	"errors"

	"github.com/millrace/millrace/runtime/function"
)

// The words that metrics, logs and spans have in common.

const (
	// other stands for a label that no Spec names.
	other = "other"
	// noFunction is the function of records that no function accepts or that cannot be decoded.
	noFunction = "none"
)

// maxDependencies bounds the label dependency: its values are the one kind that no Spec lists.
const maxDependencies = 50

// errorClass names the kind of a failed attempt. That it was the last one is told by the dead letter, not here.
func errorClass(err error) string {
	var panicked *function.PanicError
	switch {
	case errors.As(err, &panicked):
		return "panic"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	var permanent *function.PermanentError
	if !errors.As(err, &permanent) || permanent.Class == function.ClassExhausted {
		return "error"
	}
	return knownClass(permanent.Class)
}

// letterClass names what the dead letter says in its header dlq-error-class.
func letterClass(err error) string {
	var permanent *function.PermanentError
	if !errors.As(err, &permanent) {
		return other
	}
	return knownClass(permanent.Class)
}

// classPermanent is the class of function.Permanent.
const classPermanent = "permanent"

// knownClass returns class if it is one of the runtime's: a function can make up classes of its own.
func knownClass(class string) string {
	switch class {
	case classPermanent, function.ClassSchema, function.ClassUndecodable, function.ClassExhausted, function.ClassOutput:
		return class
	}
	return other
}

// isWait tells whether an attempt was none: its record waits for a circuit, or for what somebody else holds.
func isWait(err error) bool {
	_, waits := errors.AsType[*function.WaitError](err)
	return waits
}
