package function

import (
	"context"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
)

// The extension attributes that carry a trace (CloudEvents distributed tracing extension).
const (
	// TraceParent names the trace and the span that an event comes from.
	TraceParent = "traceparent"
	// TraceState is what tracing systems have to say about it.
	TraceState = "tracestate"
)

// maxTraceState is what W3C Trace Context §3.3.1.5 has everybody propagate, in bytes. Longer ones are left out.
const maxTraceState = 512

// Trace is a trace and the span in it that an event comes from (W3C Trace Context). The zero Trace is none. Make one with
// [NewTrace] or [TraceOf].
type Trace struct {
	// Parent is the traceparent: "00-", 32 hexadecimal digits that name the trace, "-", 16 that name the span, "-", flags.
	Parent string
	// State is the tracestate, empty where there is none.
	State string
}

// NewTrace returns the Trace that a traceparent and a tracestate tell of. A malformed traceparent is none, and a tracestate
// that is longer than 512 bytes is left out: whoever produces events controls both.
func NewTrace(parent, state string) Trace {
	if !validTraceParent(parent) {
		return Trace{}
	}
	if len(state) > maxTraceState {
		state = ""
	}
	return Trace{Parent: parent, State: state}
}

// TraceOf returns the Trace that e carries in its attributes.
func TraceOf(e event.Event) Trace {
	ec, ok := e.Context.(*event.EventContextV1)
	if !ok {
		return Trace{}
	}
	parent, _ := ec.Extensions[TraceParent].(string)
	state, _ := ec.Extensions[TraceState].(string)
	return NewTrace(parent, state)
}

type traceKey struct{}

// TraceFrom returns the trace that the attempt or request with the context ctx belongs to, and the span that it is, where there
// is one: what events carry that a handler stores to be published later. [Trace.Stamp] has them carry it. What a handler
// returns is stamped by the runtime.
func TraceFrom(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}

// WithTrace returns a context that carries t to a handler; the zero Trace leaves ctx as it is. The runtime calls it; tests of
// handlers may.
func WithTrace(ctx context.Context, t Trace) context.Context {
	if t.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, t)
}

// IsZero tells whether there is no trace.
func (t Trace) IsZero() bool { return t.Parent == "" }

// ID returns the 32 digits that name the trace, or "".
func (t Trace) ID() string {
	if t.IsZero() {
		return ""
	}
	return t.Parent[3:35]
}

// Stamp has events carry t in place of what they carry. The zero Trace leaves them as they are. The runtime calls it before
// it publishes what a function returned.
func (t Trace) Stamp(events []event.Event) {
	if t.IsZero() {
		return
	}
	var parent, state any = t.Parent, nil
	if t.State != "" {
		state = t.State
	}
	for i := range events {
		setExtension(&events[i], TraceParent, parent)
		setExtension(&events[i], TraceState, state)
	}
}

// validTraceParent tells whether s has the form of W3C Trace Context §3.2: version 00 to the letter, later ones with room
// for more behind the flags.
func validTraceParent(s string) bool {
	const length, maxLength = 55, 256
	if len(s) < length || len(s) > maxLength || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, traceID, spanID, flags, more := s[:2], s[3:35], s[36:52], s[53:length], s[length:]
	if version == "ff" || version == "00" && more != "" || more != "" && more[0] != '-' {
		return false
	}
	return isHex(version) && isHex(flags) && isHex(traceID) && isHex(spanID) &&
		strings.Trim(traceID, "0") != "" && strings.Trim(spanID, "0") != ""
}

// isHex tells whether s consists of hexadecimal digits in lower case.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
