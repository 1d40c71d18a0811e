// Package history judges from the outside what a group of processes did with a topic of events: from the handlers' own
// logs, from what the topics hold, and from offsets that were sampled meanwhile. It knows nothing of the runtime.
//
// All times are readings of one clock that the processes share, counted from any moment.
//
// The package imports the standard library only.
package history

import "time"

// History is what was seen of a run.
type History struct {
	// Attempts is how often the handler may be called for an event that always fails.
	Attempts int
	// Processors is how many processors a process runs on.
	Processors int
	// ExactlyOnce says that each output and each letter may exist once only.
	ExactlyOnce bool

	// Events are what was to be handled, in any order.
	Events []Event
	// Calls are the handlers' calls, in any order.
	Calls []Call
	// Releases tell when a process let a partition go by itself.
	Releases []Release
	// Exits tell when a process ended, by its name. One that is missing runs.
	Exits map[string]time.Duration
	// Faults are what was done to the processes, in order of time.
	Faults []Fault
	// Samples are the committed offsets, in order of time.
	Samples []Sample
	// Outputs and Letters are what the topics held in the end, by partition and offset.
	Outputs []Output
	Letters []Letter
	// Seen is what a reader saw of the outputs that read along.
	Seen []Output
	// Open names the transactions that were open in the end.
	Open []string
}

// Position is a place in a topic.
type Position struct {
	Partition int32
	Offset    int64
}

// Event is a record of the input topic.
type Event struct {
	Position

	ID, Key string
	// Fails says that the handler never succeeds.
	Fails bool
}

// Call is one call of the handler.
type Call struct {
	Process string
	Event   string
	Start   time.Duration
	// End is 0 for a call that nobody saw the end of.
	End time.Duration
	// Failed says that the call ended with an error.
	Failed bool
}

// Release is a process that lets a partition go: it starts nothing of it any more until it gets it again.
type Release struct {
	Process   string
	Partition int32
	At        time.Duration
}

// Fault is something that was done to the run.
type Fault struct {
	// Kind names it: "SIGKILL a member".
	Kind string
	// Process is whom it was done to, empty for all.
	Process     string
	From, Until time.Duration
	// Silences says that the process may have lost its session by it while handlers ran. Stops, that the process stood
	// still.
	Silences, Stops bool
	// Missed says that the fault found nothing to be done to; Delivered, that it met the run for certain, such as a
	// request that arrived late. Of others it is looked up whether a handler ran.
	Missed, Delivered bool
}

// Sample is the offset that was committed for a partition.
type Sample struct {
	// At is when the answer had come.
	At        time.Duration
	Partition int32
	Committed int64
	// Outputs and Letters are the ends of the topics' partitions, asked for after the answer had come; nil where they
	// could not be had.
	Outputs, Letters map[int32]int64
}

// Output is a record of the output topic.
type Output struct {
	Position

	ID string
	// Cause is the id of the event that led to it.
	Cause string
}

// Letter is a record of the dead letter topic.
type Letter struct {
	Position

	// Original is where the letter says that its event was.
	Original Position
	// Event is the id of the event that the letter holds.
	Event string
}
