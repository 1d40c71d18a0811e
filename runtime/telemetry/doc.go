// Package telemetry is what an operator sees of a process: log lines, metrics, traces, and its health over HTTP.
//
// [NewLogger] makes the process's logger. [Metrics], for Prometheus, [EMF], for CloudWatch, and [OutcomeLog] observe the
// outcomes of a pipeline. [Tracing] makes the spans of OpenTelemetry. [Health] gathers what components report of themselves.
// [NewMux] answers /healthz, /readyz and /metrics, [Server] listens.
//
// It imports runtime/pipeline, runtime/function, runtime/breaker and runtime/config, the Prometheus client and
// OpenTelemetry's SDK; nothing that knows Kafka or Lambda.
package telemetry
