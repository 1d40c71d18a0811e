package boot

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// requests knows which invocation runs.
type requests struct{ id atomic.Pointer[string] }

// begin notes the invocation of ctx. Lambda gives a process one at a time.
func (r *requests) begin(ctx context.Context) {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		r.id.Store(&lc.AwsRequestID)
	}
}

// logger returns log with what Lambda looks for in a line: the id of the invocation that runs, as requestId, and the time
// as timestamp, without which Lambda takes no notice of the line's level.
func (r *requests) logger(log *slog.Logger) *slog.Logger {
	return slog.New(&requestLog{Handler: log.Handler(), requests: r})
}

// requestLog is the handler of such a log.
type requestLog struct {
	slog.Handler

	requests *requests
}

// Handle implements [slog.Handler].
func (h *requestLog) Handle(ctx context.Context, line slog.Record) error {
	line = line.Clone()
	line.AddAttrs(slog.Time("timestamp", line.Time))
	line.Time = time.Time{}
	if id := h.requests.id.Load(); id != nil {
		line.AddAttrs(slog.String("requestId", *id))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements [slog.Handler].
func (h *requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &requestLog{Handler: h.Handler.WithAttrs(attrs), requests: h.requests}
}

// WithGroup implements [slog.Handler].
func (h *requestLog) WithGroup(name string) slog.Handler {
	return &requestLog{Handler: h.Handler.WithGroup(name), requests: h.requests}
}
