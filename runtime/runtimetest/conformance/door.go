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
	// Waits: a record waits for as long as its handler asks for.
	Waits Capability = "pauses that are longer than an invocation"
	// Idempotency: an event that was handled is not handled again. Asked for by Program.Idempotent.
	Idempotency Capability = "a store of the events that were handled"
	// Transactions: outputs, dead letters and offsets are one transaction. Asked for by Program.ExactlyOnce.
	Transactions Capability = "exactly-once processing"
	// Static: a process that starts anew under a name takes its own place, at once. Asked for by KAFKA_INSTANCE_ID.
	Static Capability = "members that keep their name across restarts"
	// Stops: a process that is asked to stop starts no further handler.
	Stops Capability = "batches that end where the process is asked to stop"
	// Owns: the process itself is the member of the group, and is paused with it.
	Owns Capability = "processes that are members themselves"
	// Apart: a partition never waits for a record of another one.
	Apart Capability = "partitions that never share a batch"
	// Names: the names of headers hold any bytes.
	Names Capability = "header names that are not text"
	// Circuits: while a dependency is down, one record tries it and all others wait.
	Circuits Capability = "circuit breakers that pause partitions"
)

// Door is a way from Kafka to functions.
type Door struct {
	// Name stands in the names of tests, and tells a child which door it runs.
	Name         string
	Capabilities []Capability
	// Environment returns the variables that a process of p needs beside those of [Program.Variables].
	Environment func(p Program) map[string]string
	// Start, where it is not nil, runs the program in the suite's place, by starting c as many times as it likes. It returns
	// when records can reach it. What it runs must end with t at the latest.
	Start func(t testing.TB, p Program, c Child) Running
	// Run is the program. It calls started when records can reach it, and returns when ctx has ended, as a process does
	// that got SIGTERM: with an error only where it could not start. It writes its log to log.
	Run func(ctx context.Context, lookup function.Lookup, specs []function.Spec, log io.Writer, started func()) error
}

// Child is how a process of the program is started: the file Path without arguments, with these variables.
type Child struct {
	Path        string
	Environment map[string]string
	// Log takes what it writes. It may be written to concurrently.
	Log io.Writer
}

// Running is a program that a door has started. It counts as one process, which ends as soon as a process of it crashes.
type Running struct {
	// Ask asks it to end, as SIGTERM does. Kill ends its processes at once, as SIGKILL does.
	Ask, Kill func()
	// Ended is closed when it has ended. Err tells why then, where it was not asked to.
	Ended <-chan struct{}
	Err   func() error
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
