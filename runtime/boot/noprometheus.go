//go:build lambda.norpc

package boot

import (
	"log/slog"
	"net/http"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// meter counts nothing: a program that is built for Lambda has no Prometheus. It may join consumer groups nevertheless.
type meter struct{}

func newMeter(_ []function.Spec, log *slog.Logger) (*meter, error) {
	log.Warn("this program was built for Lambda, without Prometheus: there is no /metrics; build it without the tag lambda.norpc")
	return &meter{}, nil
}

// mux returns what answers to probes.
func (*meter) mux(h *telemetry.Health) http.Handler { return telemetry.NewHealthMux(h) }

// Observe does nothing.
func (*meter) Observe(*pipeline.Outcome) {}

// CircuitChanged does nothing.
func (*meter) CircuitChanged(breaker.Change) {}

// InFlight returns a middleware that does nothing.
func (*meter) InFlight(function.Spec) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler { return next }
}

// ExpectChore does nothing.
func (*meter) ExpectChore(string, string) {}

// ChoreRan does nothing.
func (*meter) ChoreRan(telemetry.ChoreRun) {}

// ChoreMeasured does nothing.
func (*meter) ChoreMeasured(telemetry.ChoreState) {}

// Answering does nothing.
func (*meter) Answering(string) (done func()) { return func() {} }

// Answered does nothing.
func (*meter) Answered(telemetry.Request) {}

// Lag does nothing.
func (*meter) Lag(string, string, int32, int64) {}

// Released does nothing.
func (*meter) Released(string, string, int32) {}
