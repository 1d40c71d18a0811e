package main

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/runtime/telemetry"
)

// log is the runtime's log on standard error: as LOG_LEVEL and LOG_FORMAT say where the developer set LOG_LEVEL, else
// warnings that are not about the outcomes of records, which the lines on standard output show.
func (d *dev) log() *slog.Logger {
	level, own := d.lookup("LOG_LEVEL")
	format, _ := d.lookup("LOG_FORMAT")
	if own && level != "" {
		return telemetry.NewLogger(d.stderr, telemetry.Config{LogLevel: level, LogFormat: format})
	}
	warnings := telemetry.NewLogger(d.stderr, telemetry.Config{LogLevel: "warn", LogFormat: "text"})
	return slog.New(noOutcomes{warnings.Handler()})
}

// noOutcomes leaves off the lines of [telemetry.OutcomeLog]. They are the ones that name an attempt.
type noOutcomes struct{ slog.Handler }

// Handle implements slog.Handler.
func (h noOutcomes) Handle(ctx context.Context, r slog.Record) error {
	outcome := false
	r.Attrs(func(a slog.Attr) bool {
		outcome = outcome || a.Key == "attempt"
		return !outcome
	})
	if outcome {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h noOutcomes) WithAttrs(attrs []slog.Attr) slog.Handler {
	return noOutcomes{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h noOutcomes) WithGroup(name string) slog.Handler { return noOutcomes{h.Handler.WithGroup(name)} }
