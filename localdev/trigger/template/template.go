// Package template reads what a SAM template says of Lambda functions, and of the Kafka topics and schedules that trigger them: the
// settings that AWS would run them with, worked out without an account. What AWS would refuse is an error, what it would
// ignore a warning, both with the place in the template.
//
// Of millrace it imports localdev/trigger/filter, to check patterns.
package template

import (
	"slices"
	"time"
)

// Template is what a SAM template says of functions and their Kafka event sources. It is not changed after [Parse]:
// any number of goroutines may read it.
type Template struct {
	// Functions are all functions of the template, in its order.
	Functions []Function
	// Warnings tell what AWS would ignore or do otherwise than it seems, and what cannot be known without an account.
	// Each begins with its line and path in the template, and they are in the order of lines.
	Warnings []string
	// Notes tell, in the same way, what is right but may surprise.
	Notes []string
}

// Function returns the function of that logical id or name.
func (t *Template) Function(name string) (Function, bool) {
	i := slices.IndexFunc(t.Functions, func(f Function) bool { return f.LogicalID == name || f.Name == name })
	if i < 0 {
		return Function{}, false
	}
	return t.Functions[i], true
}

// Function is a Lambda function.
type Function struct {
	// LogicalID is the function's name in the template.
	LogicalID string
	// Name is its FunctionName; the logical id where the template leaves it to AWS.
	Name string
	// CodeURI is the folder of the code as the template has it, most often relative to the template. It is empty where
	// the code is elsewhere: an image, an S3 object, inline.
	CodeURI string
	// Runtime is the identifier of the runtime, such as "provided.al2023".
	Runtime string
	// Architecture is "x86_64" or "arm64"; x86_64 by default.
	Architecture string
	// BuildMethod is the one that the function's Metadata names, such as "go1.x", or empty.
	BuildMethod string
	// Timeout bounds one invocation; 3 seconds by default.
	Timeout time.Duration
	// MemoryMB is the memory in mebibytes; 128 by default.
	MemoryMB int
	// Environment are the variables. What cannot be known without an account stands as readable text in angle brackets.
	Environment map[string]string
	// ReservedConcurrency is how many invocations may run at a time; -1: no bound, 0: none at all.
	ReservedConcurrency int
	// Mappings are the Kafka event sources, in the order of the template.
	Mappings []Mapping
	// Schedules are what calls the function from time to time, in the order of the template.
	Schedules []Schedule
}

// Source is the kind of cluster of a mapping. Its text is the eventSource of the events that the function gets.
type Source string

// The kinds of Kafka clusters.
const (
	MSK         Source = "aws:kafka"
	SelfManaged Source = "SelfManagedKafka"
)

// Start says where a consumer group begins that has committed nothing yet. Its text is AWS's.
type Start string

// The starting positions of Kafka.
const (
	TrimHorizon Start = "TRIM_HORIZON"
	Latest      Start = "LATEST"
	AtTimestamp Start = "AT_TIMESTAMP"
)

// Mapping is a Lambda event source mapping of Kafka: which records a function gets, how many at a time, and what happens
// to those that fail. Every default is filled in. PartialResponses, Bisect, MaxAttempts, MaxAge and a destination in Kafka
// are what the template asks for: AWS keeps to them only where Provisioned is set, and without it there is a warning.
type Mapping struct {
	// LogicalID is the name of the event in its function, or of an AWS::Lambda::EventSourceMapping in the template.
	LogicalID string
	// Source is MSK or SelfManaged.
	Source Source
	// Stream is the ARN of the cluster as far as it resolves; empty for SelfManaged.
	Stream string
	// Brokers are the bootstrap servers of SelfManaged; none for MSK.
	Brokers []string
	// Topic is the one topic.
	Topic string
	// Group is the consumer group; empty where AWS would make one of the mapping's UUID.
	Group string
	// Start is where the group begins unless it has commits, StartAt the time of AtTimestamp.
	Start   Start
	StartAt time.Time
	// BatchSize is the most records of one invocation, 1 to 10,000; 100 by default.
	BatchSize int
	// Window is how long a batch gathers; 500 ms by default, else whole seconds up to 300.
	Window time.Duration
	// Enabled is true by default.
	Enabled bool
	// Filters are patterns as JSON text, see package filter. A record that matches one of them is delivered; without any
	// all are.
	Filters []string
	// PartialResponses tells whether the function's batchItemFailures count (ReportBatchItemFailures).
	PartialResponses bool
	// Bisect tells whether a batch that failed is tried again in halves.
	Bisect bool
	// MaxAttempts is how often a batch is tried again: -1 for ever, which AWS makes 10 where there is OnFailure.
	MaxAttempts int
	// MaxAge is how old a record may be and still be tried; 0: no limit.
	MaxAge time.Duration
	// OnFailure is where batches go that are given up: "kafka://topic" or an ARN; empty: nowhere.
	OnFailure string
	// Provisioned tells whether there is a ProvisionedPollerConfig; MinPollers and MaxPollers are its bounds, 0 without it.
	Provisioned            bool
	MinPollers, MaxPollers int
}
