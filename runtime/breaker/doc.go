// Package breaker keeps a circuit for each dependency of a process: something outside of it, such as a mail server or a
// database, that may be down. While a circuit is open nobody calls the dependency; after a pause one probe at a time goes
// through, and when enough of them succeeded in a row the circuit closes.
//
//	from closed     to open       after FailureThreshold failures in a row within MonitoringPeriod
//	from open       to half-open  when RecoveryTimeout is over
//	from half-open  to open       when a probe fails
//	from half-open  to closed     after SuccessThreshold probes in a row that succeed
//
// The runtime's own use is runtime/middleware: a function says [function.Unavailable], and its records wait while the
// circuit is open. Code that calls a dependency by itself may use [Set.Do].
//
// The states are those of github.com/sony/gobreaker, chosen because a call that began in one state is not counted in the
// next and because a call can be taken back. The single probe, the monitoring period and the waiting times are added here.
// It imports runtime/function and gobreaker.
package breaker
