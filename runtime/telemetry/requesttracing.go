package telemetry

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/runtime/function"
)

// StartRequest starts the span of an HTTP request, in the trace that its header traceparent names, and returns the context for
// what answers it, in which [function.TraceFrom] finds the span, or what the header names where no spans are made. Call end with
// what became of it; the span is not sent otherwise. The path of the request is left out: it may name a person.
func (t *Tracing) StartRequest(ctx context.Context, r *http.Request) (_ context.Context, end func(Request)) {
	parent := function.NewTrace(r.Header.Get(function.TraceParent), r.Header.Get(function.TraceState))
	if t == nil {
		return function.WithTrace(ctx, parent), func(Request) {}
	}
	ctx, span := t.startKind(ctx, trace.SpanKindServer, r.Method, parent)
	return function.WithTrace(ctx, traceOfSpan(span)), func(done Request) { endRequest(span, done) }
}

// endRequest ends a span with what became of the request. An error of the client is none of the service.
func endRequest(span trace.Span, r Request) {
	attributes := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(r.MethodName()),
		semconv.HTTPResponseStatusCode(r.Code),
		attribute.String("millrace.service", r.Service),
	}
	name := r.MethodName()
	if r.Pattern != "" {
		name += " " + r.Route()
		attributes = append(attributes, semconv.HTTPRoute(r.Route()))
	}
	if r.Code >= http.StatusInternalServerError {
		attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(r.Code)))
		span.SetStatus(codes.Error, "")
	}
	span.SetName(name)
	span.SetAttributes(attributes...)
	span.End()
}
