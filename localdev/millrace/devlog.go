package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/runtime/telemetry"
)

// log is the runtime's log on standard error: as LOG_LEVEL and LOG_FORMAT say where the developer set LOG_LEVEL, else
// warnings but those that the lines on standard output show.
func (a *app) log(shown func(slog.Record) bool) *slog.Logger {
	level, own := a.lookup("LOG_LEVEL")
	format, _ := a.lookup("LOG_FORMAT")
	if own && level != "" {
		return telemetry.NewLogger(a.stderr, telemetry.Config{LogLevel: level, LogFormat: format})
	}
	warnings := telemetry.NewLogger(a.stderr, telemetry.Config{LogLevel: "warn", LogFormat: "text"})
	return slog.New(others{warnings.Handler(), shown})
}

// others leaves off the lines that are shown elsewhere.
type others struct {
	slog.Handler

	shown func(slog.Record) bool
}

// Handle implements slog.Handler.
func (h others) Handle(ctx context.Context, r slog.Record) error {
	if h.shown(r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h others) WithAttrs(attrs []slog.Attr) slog.Handler {
	return others{h.Handler.WithAttrs(attrs), h.shown}
}

// WithGroup implements slog.Handler.
func (h others) WithGroup(name string) slog.Handler {
	return others{h.Handler.WithGroup(name), h.shown}
}

// isOutcome tells whether a line is one of [telemetry.OutcomeLog]. They are the ones that name an attempt.
func isOutcome(r slog.Record) bool {
	outcome := false
	r.Attrs(func(a slog.Attr) bool {
		outcome = a.Key == "attempt"
		return !outcome
	})
	return outcome
}

// isAnswer tells whether a line of a mapping's log is about what became of a batch.
func isAnswer(r slog.Record) bool {
	answer := false
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" && a.Value.Kind() == slog.KindGroup {
			answer = slices.ContainsFunc(a.Value.Group(), isAboutBatch)
		}
		return !answer
	})
	return answer
}

func isAboutBatch(a slog.Attr) bool {
	switch a.Value.String() {
	case "FunctionError", "MalformedResponse", "PartialBatchFailure", "ServiceError", "RecordsDropped":
		return a.Key == "errorCode"
	}
	return false
}
