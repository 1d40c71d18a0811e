package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/runtime/function"
)

// withParent returns a context in which spans have parent, or none.
func withParent(ctx context.Context, parent function.Trace) context.Context {
	return propagation.TraceContext{}.Extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), (*traceCarrier)(&parent))
}

// traceOfSpan returns what events carry that a span made.
func traceOfSpan(span trace.Span) function.Trace {
	var made traceCarrier
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), span), &made)
	return function.Trace(made)
}

// traceCarrier reads and writes a Trace as the propagator of OpenTelemetry does.
type traceCarrier function.Trace

// Get returns the value of a key, "" for one that is not known.
func (c *traceCarrier) Get(key string) string {
	switch key {
	case function.TraceParent:
		return c.Parent
	case function.TraceState:
		return c.State
	}
	return ""
}

// Set sets the value of a key that is known.
func (c *traceCarrier) Set(key, value string) {
	switch key {
	case function.TraceParent:
		c.Parent = value
	case function.TraceState:
		c.State = value
	}
}

// Keys returns the keys that are known.
func (*traceCarrier) Keys() []string { return []string{function.TraceParent, function.TraceState} }

// invocationKey is where aws-lambda-go keeps the trace of an invocation in its context.
const invocationKey = "x-amzn-trace-id"

// invocationOf returns the segment of X-Ray that a Lambda invocation is, or none. Spans are linked to it: it is about a batch,
// they are about a record. Its header reads "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".
func invocationOf(ctx context.Context) trace.SpanContext {
	header, _ := ctx.Value(invocationKey).(string)
	c := trace.SpanContextConfig{Remote: true}
	for field := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Root":
			value, _ = strings.CutPrefix(value, "1-")
			c.TraceID, _ = trace.TraceIDFromHex(strings.Replace(value, "-", "", 1))
		case "Parent":
			c.SpanID, _ = trace.SpanIDFromHex(value)
		case "Sampled":
			if value == "1" {
				c.TraceFlags = trace.FlagsSampled
			}
		}
	}
	return trace.NewSpanContext(c)
}
