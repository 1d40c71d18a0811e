// Package telemetry is what an operator sees of a process: log lines, Prometheus metrics, and its health over HTTP.
//
// [NewLogger] makes the process's logger. [Metrics] and [OutcomeLog] observe the outcomes of a pipeline. [Health] gathers
// what components report of themselves. [NewMux] answers /healthz, /readyz and /metrics, [Server] listens.
//
// It imports runtime/pipeline, runtime/function and runtime/config, and the Prometheus client; nothing that knows Kafka or
// Lambda.
package telemetry
