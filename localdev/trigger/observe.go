package trigger

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Kind is what happened.
type Kind string

// The kinds of events.
const (
	// Sent: a batch is sent to the function.
	Sent Kind = "sent"
	// Answered: the function answered, failed, or could not be called.
	Answered Kind = "answered"
	// Retrying: records wait for their next try.
	Retrying Kind = "retrying"
	// Bisected: a batch that failed is to be tried again in halves.
	Bisected Kind = "bisected"
	// Dropped: records were given up, and there is no destination. They are committed along.
	Dropped Kind = "dropped"
	// Delivered: records were given up, and the destination has them.
	Delivered Kind = "delivered"
	// Filtered: records were filtered out. They are committed along.
	Filtered Kind = "filtered"
	// Committed: the group's offsets were moved.
	Committed Kind = "committed"
)

// Event tells what happened to records. Fields that a kind has no use for are zero.
type Event struct {
	Kind Kind
	// RequestID is that of the last invocation, as far as it is known.
	RequestID string
	// Records are the records, by partition; of Committed, what the commits cover is below First.
	Records []Range
	// Count is how many records there are.
	Count int
	// Calls is how often the records were sent so far.
	Calls int
	// Failed is how many records of an answer are to be tried again.
	Failed int
	// Duration is how long the function took, Delay how long the records wait for the next try.
	Duration, Delay time.Duration
	// Condition says why records were given up, in AWS's words.
	Condition string
	// Err is why an invocation failed.
	Err error
}

// Range are records of one partition, from First to Last.
type Range struct {
	Partition   int32
	First, Last int64
}

// String says the event in one line, without any content of the records.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d records", e.Kind, e.Count)
	for _, r := range e.Records {
		fmt.Fprintf(&b, " %d@%d-%d", r.Partition, r.First, r.Last)
	}
	if e.Condition != "" {
		fmt.Fprintf(&b, ": %s", e.Condition)
	}
	if e.Failed > 0 {
		fmt.Fprintf(&b, ", %d to be tried again", e.Failed)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func ranges(records []*record) []Range {
	var list []Range
	for _, r := range records {
		if n := len(list); n == 0 || list[n-1].Partition != r.claim.partition {
			list = append(list, Range{Partition: r.claim.partition, First: r.offset})
		}
		list[len(list)-1].Last = r.offset
	}
	return list
}

// observe tells what happened to b.
func (m *mapping) observe(b *batch, e Event) {
	e.RequestID, e.Records, e.Count, e.Calls = b.last.requestID, ranges(b.records), len(b.records), b.calls
	e.Condition = b.condition
	m.options.Observe(e)
}

func (m *mapping) tellCommitted(offsets map[int32]int64) {
	if len(offsets) == 0 {
		return
	}
	e := Event{Kind: Committed}
	for partition, offset := range offsets {
		e.Records = append(e.Records, Range{Partition: partition, First: offset, Last: offset})
	}
	slices.SortFunc(e.Records, func(a, b Range) int { return int(a.Partition - b.Partition) })
	m.options.Observe(e)
}

// The names of AWS's system log events.
const (
	processingEvent   = "ESM_PROCESSING_EVENT"
	pollerStatusEvent = "POLLER_STATUS_EVENT"
	kafkaStatusEvent  = "KAFKA_STATUS_EVENT"
)

// statusInterval is AWS's.
const statusInterval = time.Minute

// maxMessage bounds what is repeated of a function's error.
const maxMessage = 512

func (m *mapping) warn(code string, err error) {
	message := err.Error()
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	m.options.Log.Warn(processingEvent, "topic", m.spec.Topic, "consumerGroupId", m.spec.Group,
		slog.Group("error", "errorMessage", message, "errorCode", code))
}

// report logs why a call is not over.
func (m *mapping) report(b *batch, o outcome) {
	err := o.err
	if err == nil {
		err = fmt.Errorf("%d of %d records failed", len(o.failed), len(b.records))
	}
	m.warn(o.code, fmt.Errorf("request %s, records %s: %w", o.requestID, describe(b.records), err))
}

func describe(records []*record) string {
	var b strings.Builder
	for i, r := range ranges(records) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d@%d-%d", r.Partition, r.First, r.Last)
	}
	return b.String()
}

// logPoller logs who polls what.
func (m *mapping) logPoller() {
	var assigned []int32
	for _, c := range m.owned() {
		assigned = append(assigned, c.partition)
	}
	member, generation := m.kafka.GroupMetadata()
	kafka := m.options.Kafka
	protocol := "PLAINTEXT"
	switch {
	case kafka.SASLMechanism != "" && kafka.TLS:
		protocol = "SASL_SSL"
	case kafka.SASLMechanism != "":
		protocol = "SASL_PLAINTEXT"
	case kafka.TLS:
		protocol = "SSL"
	}
	m.options.Log.Info(pollerStatusEvent, slog.Group("kafkaEventSourceConnection",
		"brokerEndpoints", strings.Join(kafka.Brokers, ","), "consumerId", member, "topics", []string{m.spec.Topic},
		"consumerGroupId", m.spec.Group, "securityProtocol", protocol, "saslMechanism", kafka.SASLMechanism,
		"assignedPartitionCount", len(assigned), "partitionsAssignmentGeneration", generation, "assignedPartitions", assigned))
}

// status logs each minute how far the partitions are.
func (m *mapping) status(now time.Time) {
	if now.Before(m.statusDue) {
		return
	}
	first := m.statusDue.IsZero()
	m.statusDue = now.Add(statusInterval)
	if first || !m.options.Log.Enabled(m.working, slog.LevelDebug) {
		return
	}
	m.work.Go(func() {
		ends, err := m.kafka.Admin.ListEndOffsets(m.working, m.spec.Topic)
		m.post(func() { m.logStatus(ends, err) })
	})
}

func (m *mapping) logStatus(ends kadm.ListedOffsets, err error) {
	if err != nil {
		m.warn(codePoll, fmt.Errorf("end offsets: %w", err))
		return
	}
	for _, c := range m.owned() {
		if end, ok := ends.Lookup(m.spec.Topic, c.partition); ok && end.Err == nil {
			m.options.Log.Debug(kafkaStatusEvent, "topic", m.spec.Topic, slog.Group("kafkaPartitionOffsets",
				"partition", c.partition, "endOffset", end.Offset, "consumedOffset", c.next,
				"processedOffset", c.frontier(), "committedOffset", c.committed))
		}
	}
}
