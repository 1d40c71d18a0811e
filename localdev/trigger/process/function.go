package process

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
)

// The defaults of a function. The first two are Lambda's.
const (
	DefaultTimeout     = 3 * time.Second
	DefaultMemoryMB    = 128
	DefaultConcurrency = 10
)

// Function is what a pool runs.
type Function struct {
	// Name is the function's name. Required.
	Name string
	// Bootstrap is the path of the binary. It runs in the folder that holds it. If it is empty, the pool starts nothing
	// and waits for a process that a developer starts by hand, with the variables of [Pool.Environment].
	Bootstrap string
	// Environment are the variables of the function. They may replace the made-up region and credentials that a process
	// gets, but not the variables that Lambda reserves for its runtime. Nothing else is taken from the environment of this
	// process but what names its folders (PATH, HOME, TMPDIR and the like).
	Environment map[string]string
	// Timeout bounds one invocation. Default: [DefaultTimeout]. A process that was started by hand is given
	// [DebugTimeout] instead: it may stand at a breakpoint.
	Timeout time.Duration
	// MemoryMB is what the function is told of its memory, in mebibytes. Nothing holds it to that. Default:
	// [DefaultMemoryMB].
	MemoryMB int
	// Concurrency is the most processes, each with one invocation at a time. Default: [DefaultConcurrency]; always 1
	// without a Bootstrap.
	Concurrency int
}

// Options are the settings of a pool. The zero value is usable.
type Options struct {
	// API is the server that the processes speak to. Several pools may share one; it has to outlive them. Default: one of
	// the pool's own.
	API *runtimeapi.Server
	// Log takes what the processes write to standard output and error, whole lines, one Write for each; a line of more
	// than [MaxLine] bytes is cut in several. It is never called concurrently. Default: nowhere.
	Log io.Writer
	// Events is told what happens to processes and invocations. It may be called concurrently, and should return soon: the
	// invocation waits for it. Default: nobody.
	Events func(Event)
	// IdleTimeout ends a process that had nothing to do for so long. Default: processes are kept until Close.
	IdleTimeout time.Duration
	// InitTimeout bounds the time from the start of a process to its first call for an invocation. Default:
	// [DefaultInitTimeout].
	InitTimeout time.Duration
	// Freeze stops the processes between invocations (SIGSTOP), as Lambda does: timers and connections grow stale
	// meanwhile. Only Unix can; elsewhere [Start] returns an error.
	Freeze bool
}

// Bounds of a pool.
const (
	// DefaultInitTimeout is Lambda's time for the start of a function.
	DefaultInitTimeout = 10 * time.Second
	// DebugTimeout takes the place of a function's time-out while its process is started by hand.
	DebugTimeout = 12 * time.Hour
	// MaxLine is the most bytes of a line of the log.
	MaxLine = 64 << 10
)

// Result is what became of an invocation.
type Result struct {
	// RequestID is the invocation's id, a UUID.
	RequestID string
	// Payload is the function's answer. With an Error it is the document that Lambda answers then: errorType,
	// errorMessage and perhaps a stackTrace, as JSON.
	Payload []byte
	// Error is why the invocation failed: the function said so, ran out of time, or its process ended. Nil: it succeeded.
	Error *FunctionError
	// Duration is how long the function worked, until it asked for the next invocation.
	Duration time.Duration
	// Init is how long a process took to start for this invocation; 0 if one was there.
	Init time.Duration
}

// The types of errors that the platform reports, not the function. They are Lambda's.
const (
	TypeTimeout           = "Sandbox.Timedout"
	TypeExit              = "Runtime.ExitError"
	TypeInvalidEntrypoint = "Runtime.InvalidEntrypoint"
	TypeUnknown           = "Function.Unknown"
)

// FunctionError says why an invocation failed, as Lambda words it.
type FunctionError struct {
	// Type is the errorType: the function's own, or one of the constants of this package.
	Type string
	// Message is the errorMessage.
	Message string
	// Log are the last lines that the process wrote, at most 4 KiB, if it has ended.
	Log string
}

func (e *FunctionError) Error() string {
	if e.Message == "" {
		return cmp.Or(e.Type, TypeUnknown)
	}
	return fmt.Sprintf("%s: %s", cmp.Or(e.Type, TypeUnknown), e.Message)
}

// ErrClosed says that the pool was closed before the invocation ended.
var ErrClosed = errors.New("the pool of processes is closed")

// PayloadTooLargeError says that an event is larger than [runtimeapi.MaxPayload]. Lambda refuses such an invocation, and
// the function is not called.
type PayloadTooLargeError struct {
	Function string
	Size     int
}

func (e *PayloadTooLargeError) Error() string {
	return fmt.Sprintf("%s: the event of %d bytes exceeds Lambda's maximum of %d", e.Function, e.Size, runtimeapi.MaxPayload)
}
