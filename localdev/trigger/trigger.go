package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/localdev/trigger/filter"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Invoker calls a Lambda function; [process.Pool] is one. Several goroutines call it at a time.
type Invoker interface {
	// Invoke calls the function with an event and waits for its answer. What the function did wrong is in the result's
	// Error and counts as an attempt. An error of Invoke itself (no room, throttled, closed) does not: nobody knows then
	// whether the function saw the event, and it is sent again. Invoke returns soon after ctx ends.
	Invoke(ctx context.Context, event []byte) (process.Result, error)
}

// Options are the settings of [Run]. The zero value is usable.
type Options struct {
	// Kafka is how the cluster is reached. Default: 127.0.0.1:9092.
	Kafka kafkaclient.Config
	// FunctionARN names the function in what goes to an on-failure destination. Default: a made-up one.
	FunctionARN string
	// Concurrency bounds the invocations at a time; beyond the number of partitions it changes nothing. Default: five for each
	// of the mapping's MaxPollers, as AWS has it; without those one per partition.
	Concurrency int
	// Backoff is how long a batch waits before it is tried again, from its first failure on. Default: 1 s, doubled up to 30 s.
	Backoff pipeline.Backoff
	// Drain bounds how long running invocations may go on when partitions are taken away or Run is to end. Default: 20 s.
	Drain time.Duration
	// SessionTimeout is how long the group waits for a member that is silent. Default: 30 s.
	SessionTimeout time.Duration
	// ReadUncommitted delivers records of open and aborted transactions as well.
	ReadUncommitted bool
	// Folder is where the on-failure records for SQS, SNS and S3 go, one file each, in a folder per destination. Required
	// where the mapping has such a destination.
	Folder string
	// Log gets AWS's system log events of event source mappings, under AWS's names. Default: none.
	Log *slog.Logger
	// Observe is told what happens, in its order. Run waits for it, so it should return soon. Default: nobody.
	Observe func(Event)
	// Started is called once, when the group has assigned partitions (perhaps none) and their positions are known.
	// Default: nobody.
	Started func()
}

const (
	defaultDrain          = 20 * time.Second
	defaultSessionTimeout = 30 * time.Second
	// invocationsPerPoller is how many invocations at a time AWS gives a provisioned poller.
	invocationsPerPoller = 5
	// maxBatchSize is AWS's.
	maxBatchSize = 10_000
	// retriesWithDestination takes the place of endless retries where there is a destination.
	retriesWithDestination = 10
)

func (o *Options) withDefaults(m *template.Mapping) Options {
	var c Options
	if o != nil {
		c = *o
	}
	if len(c.Kafka.Brokers) == 0 {
		c.Kafka.Brokers = []string{"127.0.0.1:9092"}
	}
	c.FunctionARN = cmp.Or(c.FunctionARN, "arn:aws:lambda:us-east-1:000000000000:function:"+cmp.Or(m.LogicalID, "function"))
	c.Backoff.First = cmp.Or(c.Backoff.First, time.Second)
	c.Backoff.Max = max(cmp.Or(c.Backoff.Max, 30*time.Second), c.Backoff.First)
	c.Concurrency = cmp.Or(c.Concurrency, invocationsPerPoller*m.MaxPollers)
	c.Drain = cmp.Or(c.Drain, defaultDrain)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, defaultSessionTimeout)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Started == nil {
		c.Started = func() {}
	}
	return c
}

// Run calls f with the records of m's topic until ctx ends; then it takes no more, gives running invocations [Options.Drain],
// commits what is done, leaves the group and returns nil. It returns an error when m cannot be run, the cluster is not
// reached at the start ([*cluster.UnreachableError]) or a topic does not exist ([*cluster.UnknownTopicError]); later on it
// waits for the cluster to come back. Whether m is Enabled is for the caller to look at.
func Run(ctx context.Context, m template.Mapping, f Invoker, o *Options) error {
	options := o.withDefaults(&m)
	spec, err := settle(m, &options)
	if err != nil {
		return err
	}
	accepts, err := filter.Compile(spec.Filters...)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", m.LogicalID, err)
	}
	r := &mapping{
		spec: spec, options: options, function: f, filter: accepts, start: startOffset(&spec),
		encoder: newEncoder(&spec, options.Kafka.Brokers),
		inbox:   make(chan func()), done: make(chan struct{}),
		claims: map[int32]*claim{}, busy: map[int32]int{},
	}
	return r.run(ctx)
}

// settle returns what AWS would make of m, or why it would refuse.
func settle(m template.Mapping, o *Options) (template.Mapping, error) {
	if !m.Provisioned {
		m.PartialResponses, m.Bisect, m.MaxAttempts, m.MaxAge = false, false, -1, 0
		if strings.HasPrefix(m.OnFailure, kafkaScheme) {
			m.OnFailure = ""
		}
	}
	if m.OnFailure != "" && m.MaxAttempts < 0 {
		m.MaxAttempts = retriesWithDestination
	}
	if m.Group == "" {
		m.Group = uuid.NewSHA1(uuid.NameSpaceOID, []byte(o.FunctionARN+"\n"+m.LogicalID+"\n"+m.Topic)).String()
	}
	return m, errors.Join(problems(&m, o)...)
}

func problems(m *template.Mapping, o *Options) []error {
	var list []error
	problem := func(format string, args ...any) {
		list = append(list, fmt.Errorf("mapping %s: "+format, append([]any{m.LogicalID}, args...)...))
	}
	if m.Topic == "" {
		problem("it has no topic")
	}
	if m.BatchSize < 1 || m.BatchSize > maxBatchSize {
		problem("BatchSize is %d, must be 1 to %d", m.BatchSize, maxBatchSize)
	}
	if m.Source != template.MSK && m.Source != template.SelfManaged {
		problem("Source is %q, must be %q or %q", m.Source, template.MSK, template.SelfManaged)
	}
	topic, isTopic := strings.CutPrefix(m.OnFailure, kafkaScheme)
	switch {
	case isTopic && topic == m.Topic:
		problem("failed records of topic %s must go to another topic", topic)
	case isTopic && topic == "":
		problem("the destination %s names no topic", m.OnFailure)
	case !isTopic && m.OnFailure != "" && o.Folder == "":
		problem("Options.Folder must be set: the destination %s becomes files", m.OnFailure)
	}
	return list
}
