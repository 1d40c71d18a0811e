// Package telemetry is what an operator sees of a process: log lines, metrics, traces, and its health over HTTP.
//
// [NewLogger] makes the process's logger. [Metrics], for Prometheus, [EMF], for CloudWatch, and [OutcomeLog] observe the
// outcomes of a pipeline. [Tracing] makes the spans of OpenTelemetry. [Health] gathers what components report of themselves.
// [NewMux] answers /healthz, /readyz and /metrics, [Server] listens.
//
// A build with the tag lambda.norpc leaves Prometheus out: [Metrics] and [NewMux]. Nobody scrapes a Lambda function, and with
// the library of protocol buffers the linker has to keep every method of every type, a third of the program.
//
// It imports runtime/pipeline, runtime/function, runtime/breaker and runtime/config, the Prometheus client and
// OpenTelemetry's SDK; nothing that knows Kafka or Lambda.
package telemetry
