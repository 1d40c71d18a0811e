package conformance

import (
	"context"
	"io"
	"testing"

	"github.com/millrace/millrace/runtime/function"
)

// Capability is something that not every door can do. Its text completes "the door lacks: …".
type Capability string

// The capabilities.
const (
	// Members: several processes share a group's partitions, which move from one to another.
	Members Capability = "partitions that move between members"
	// Keeps: a partition that stays with its member is not interrupted when others move.
	Keeps Capability = "a rebalance that leaves alone what does not move"
	// Drain: a handler that runs when the process is asked to stop may end its work.
	Drain Capability = "handlers that end their work when the process stops"
	// Readiness: the process tells at HTTP_ADDR whether it can do its work.
	Readiness Capability = "an HTTP endpoint for readiness"
	// Ranges: records that are finished beyond the frontier are not handled again after a restart.
	Ranges Capability = "finished ranges in the metadata of commits"
	// Attempts: failed attempts count across restarts.
	Attempts Capability = "attempts in the metadata of commits"
	// Idempotency: an event that was handled is not handled again. Asked for by Program.Idempotent.
	Idempotency Capability = "a store of the events that were handled"
	// Transactions: outputs, dead letters and offsets are one transaction. Asked for by Program.ExactlyOnce.
	Transactions Capability = "exactly-once processing"
	// Static: a process that starts anew under a name takes its own place, at once. Asked for by KAFKA_INSTANCE_ID.
	Static Capability = "members that keep their name across restarts"
	// Circuits: while a dependency is down, one record tries it and all others wait.
	Circuits Capability = "circuit breakers that pause partitions"
)

// Door is a way from Kafka to functions.
type Door struct {
	// Name stands in the names of tests, and tells a child which door it runs.
	Name         string
	Capabilities []Capability
	// Environment returns the variables that a process of p needs beside those of [Program.Variables]. It may start what
	// stands between Kafka and the process, and end that with t. It is called once for each process.
	Environment func(t testing.TB, p Program) map[string]string
	// Run is the program. It calls started when records can reach it, and returns when ctx has ended, as a process does
	// that got SIGTERM: with an error only where it could not start. It writes its log to log.
	Run func(ctx context.Context, lookup function.Lookup, specs []function.Spec, log io.Writer, started func()) error
}

// Program is what a door runs.
type Program struct {
	// Brokers are addresses of the cluster, host:port.
	Brokers   []string
	Functions []Function
	// DeadLetters is the topic of dead letters.
	DeadLetters string
	// Idempotent asks for a store of handled events that outlives the process, in Folder.
	Idempotent bool
	// ExactlyOnce asks for transactions.
	ExactlyOnce bool
	// Folder is an empty folder at first, kept from process to process.
	Folder string
	// Variables are the runtime's, in its environment.
	Variables map[string]string
}
