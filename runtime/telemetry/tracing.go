package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	// flushLimit and closeLimit are how long Flush and Close wait at most.
	flushLimit = time.Second
	closeLimit = 3 * time.Second
	// maxSpanText bounds what a span says of a foreign event or an error, in bytes.
	maxSpanText = 1 << 10
	// tracerName is the instrumentation scope of the spans.
	tracerName = "github.com/millrace/millrace/runtime/telemetry"
)

// Tracing makes an OpenTelemetry span for each attempt at a record, in the trace of the record: its parent is the span that
// made the event, or what the record's header traceparent names. The events that the attempt emits carry its span in
// turn, so that a chain of functions is one trace.
//
// A span is an attempt, not a record: attempts may be minutes apart and run in different processes, and a span that is open
// meanwhile is lost with its process. The attempts at a record are siblings that tell their numbers. An attempt that was
// none, because a circuit was open or another process had the event, has no span; neither has a record that no function
// accepts. One that cannot be decoded has. A span ends when the events are acknowledged or, with exactly once, when they wait
// for their transaction.
//
// Spans wait in a bounded queue and are sent in batches, in the background; those that do not fit, or that cannot be sent,
// are lost. Handlers find their span in their context, also as [function.TraceFrom].
//
// A nil *Tracing makes no spans: each method does nothing. Methods may be called concurrently.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
}

// StartTracing returns the Tracing that c asks for: nil where it asks for none. c must be valid. That spans are lost is told
// to log. Call Close at the end.
func StartTracing(c Config, log *slog.Logger) (*Tracing, error) {
	if !c.Tracing.on() {
		return nil, nil
	}
	exporter, err := newExporter(&c.Tracing, log)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	service, err := serviceResource(c)
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(service))
	return &Tracing{
		provider: provider,
		tracer:   provider.Tracer(tracerName, trace.WithInstrumentationVersion(c.ServiceVersion), trace.WithSchemaURL(semconv.SchemaURL)),
		exporter: exporter,
	}, nil
}

// serviceResource is who makes the spans: what c says, overridden by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
func serviceResource(c Config) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{semconv.ServiceName(c.ServiceName)}
	if c.ServiceVersion != "" {
		attributes = append(attributes, semconv.ServiceVersion(c.ServiceVersion))
	}
	return resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(attributes...), resource.WithFromEnv())
}

// Middleware returns what makes a span for each attempt of the function of spec, which must be complete. It stands
// outermost, so that the span tells what became of the attempt.
func (t *Tracing) Middleware(spec function.Spec) pipeline.Middleware {
	if t == nil {
		return func(next pipeline.Handler) pipeline.Handler { return next }
	}
	name := "process " + spec.Topic
	options := trace.WithAttributes(
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationName(spec.Topic),
		semconv.MessagingConsumerGroupName(spec.Group),
		attribute.String("millrace.function", spec.Name),
	)
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) error {
			ctx, span := t.start(ctx, name, d.Trace(), d.Started, options)
			made := traceOfSpan(span)
			d.SetTrace(made)
			ctx = function.WithTrace(ctx, made)
			if span.IsRecording() {
				describe(span, d)
			}
			err := next(ctx, d)
			end(ctx, span, err)
			return err
		}
	}
}

// start starts the span of an attempt below parent.
func (t *Tracing) start(ctx context.Context, name string, parent function.Trace, at time.Time, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.startKind(ctx, trace.SpanKindConsumer, name, parent, append(options, trace.WithTimestamp(at))...)
}

// startKind starts a span below parent.
//
//nolint:spancheck // the caller ends it
func (t *Tracing) startKind(ctx context.Context, kind trace.SpanKind, name string, parent function.Trace, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	options = append(options, trace.WithSpanKind(kind))
	if invocation := invocationOf(ctx); invocation.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: invocation}))
	}
	return t.tracer.Start(withParent(ctx, parent), name, options...)
}

// describe tells which record and event an attempt is about, and which attempt it is. The key is left out: it may be a
// person's.
func describe(span trace.Span, d *pipeline.Delivery) {
	e := &d.Event
	attributes := append(coordinates(&d.Record),
		semconv.MessagingMessageID(spanText(e.ID())),
		semconv.CloudEventsEventID(spanText(e.ID())),
		semconv.CloudEventsEventSource(spanText(e.Source())),
		semconv.CloudEventsEventSpecVersion(e.SpecVersion()),
		semconv.CloudEventsEventType(spanText(e.Type())),
		attribute.Int("millrace.attempt", d.Attempts+d.Suspected),
	)
	if subject := e.Subject(); subject != "" {
		attributes = append(attributes, semconv.CloudEventsEventSubject(spanText(subject)))
	}
	span.SetAttributes(attributes...)
}

// coordinates are where a record stands. There is room for more.
func coordinates(r *pipeline.Record) []attribute.KeyValue {
	const room = 10
	attributes := append(make([]attribute.KeyValue, 0, room),
		semconv.MessagingDestinationPartitionID(strconv.FormatInt(int64(r.Partition), 10)),
		semconv.MessagingKafkaOffset(int(r.Offset)),
	)
	if r.Value == nil {
		attributes = append(attributes, semconv.MessagingKafkaMessageTombstone(true))
	}
	return attributes
}

// end ends a span with what became of the attempt. A span that is not ended is never sent.
func end(ctx context.Context, span trace.Span, err error) {
	if isWait(err) {
		return
	}
	verdict := function.VerdictOf(err)
	outcome := verdict.String()
	if err != nil && ctx.Err() != nil {
		outcome = "given-up"
	}
	span.SetAttributes(attribute.String("millrace.outcome", outcome))
	if verdict != function.Done && verdict != function.Dropped {
		span.SetAttributes(semconv.ErrorTypeKey.String(spanErrorType(verdict, err)))
		span.SetStatus(codes.Error, spanText(err.Error()))
	}
	span.End()
}

func spanErrorType(verdict function.Verdict, err error) string {
	if verdict == function.Broken {
		return verdict.String()
	}
	return errorClass(err)
}

func spanText(text string) string {
	text, _ = cutText(text, maxSpanText)
	return text
}

// Observe makes the span of a record that became a dead letter without an attempt: it could not be decoded. *Tracing is a
// pipeline.Observer for that.
func (t *Tracing) Observe(o *pipeline.Outcome) {
	if t == nil || o.Function != "" || o.Verdict != function.DeadLetter {
		return
	}
	now := time.Now()
	_, span := t.start(context.Background(), "process "+o.Record.Topic, o.Trace(), now.Add(-o.Took), trace.WithAttributes(
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationName(o.Record.Topic),
		semconv.MessagingConsumerGroupName(o.Group),
		attribute.String("millrace.outcome", o.Verdict.String()),
		semconv.ErrorTypeKey.String(errorClass(o.Err)),
	))
	span.SetAttributes(coordinates(o.Record)...)
	span.SetStatus(codes.Error, spanText(o.Err.Error()))
	span.End(trace.WithTimestamp(now))
}

// Flush sends what has ended. It is for a process that is frozen between its tasks, as Lambda's are. It waits until ctx
// ends, and at most a second; what was not sent by then is lost.
func (t *Tracing) Flush(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	// The exporter reports no errors, and that the time is over is no news.
	_ = t.provider.ForceFlush(ctx)
}

// Close sends what has ended, waiting at most three seconds, and ends the sending; what was not sent by then is lost. Spans
// that end afterwards are not sent.
func (t *Tracing) Close() {
	if t == nil {
		return
	}
	late := time.AfterFunc(closeLimit, t.exporter.stop)
	defer late.Stop()
	_ = t.provider.Shutdown(context.Background())
	t.exporter.stop()
}
