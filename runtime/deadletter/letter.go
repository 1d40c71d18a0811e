package deadletter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/pipeline"
)

// The names of the headers.
const (
	// HeaderTopic is the topic of the original. It is the first of our headers.
	HeaderTopic = "dlq-original-topic"
	// HeaderPartition and HeaderOffset are the original's coordinates, -1 for an event that was never in a topic.
	HeaderPartition = "dlq-original-partition"
	HeaderOffset    = "dlq-original-offset"
	// HeaderLastOffset is there only where bytes are lost, see [Lost].
	HeaderLastOffset = "dlq-original-last-offset"
	// HeaderTimestamp is the original's time.
	HeaderTimestamp = "dlq-original-timestamp"
	// HeaderReason is the last error, at most 1 KiB.
	HeaderReason = "dlq-failure-reason"
	// HeaderClass is the kind of failure: "exhausted", "schema", … ([function.ClassExhausted] and so on).
	HeaderClass = "dlq-error-class"
	// HeaderRetries is how often the handler was called again after its first failure.
	HeaderRetries = "dlq-retry-count"
	// HeaderFirst and HeaderLast are the times of the first and the last failure.
	HeaderFirst = "dlq-first-failure-timestamp"
	HeaderLast  = "dlq-last-failure-timestamp"
	// HeaderService and HeaderVersion name the program that gave up.
	HeaderService = "dlq-service-name"
	HeaderVersion = "dlq-service-version"
	// HeaderGroup is the consumer group that gave up.
	HeaderGroup = "dlq-consumer-group"
	// HeaderReplays is how often the letter was replayed.
	HeaderReplays = "dlq-replay-count"
	// HeaderStack is where the handler panicked or, for an error, which errors it wraps; at most 4 KiB.
	HeaderStack = "dlq-stack-trace"
	// HeaderTrace is the event's own trace (ce_traceparent), where the original has no such header.
	HeaderTrace = "traceparent"
)

// The bounds of what we add, in bytes.
const (
	maxReason = 1 << 10
	maxStack  = 4 << 10
	maxName   = 256
	maxCause  = 256
	// maxCauses bounds the lines of a chain of errors.
	maxCauses = 32
)

// DefaultMaxBytes is how large a letter may become: what infra/topics.yaml allows in the dead letter topic, less the
// overhead of a batch.
const DefaultMaxBytes = 2<<20 - 1<<10

// Service is the program that gives up on a record.
type Service struct {
	// Name is the program's: "notification-service". Where it is empty, letters name the function.
	Name    string
	Version string
}

// Message returns the dead letter of f. It shares the bytes of the original. When it would be larger than
// [DefaultMaxBytes] it comes without the stack, and with a shorter reason; the original is never cut.
func Message(f pipeline.Failure, s Service) kafkabinding.Message {
	return message(f, s, DefaultMaxBytes)
}

// Lost returns the letter of records whose bytes cannot be had, such as a batch that would take too much memory: those
// from f.Record.Offset up to lastOffset. It holds their coordinates and why, but neither key, value nor headers.
func Lost(f pipeline.Failure, lastOffset int64, s Service) kafkabinding.Message {
	record := *f.Record
	record.Message = kafkabinding.Message{}
	f.Record = &record
	m := Message(f, s)
	m.Headers = append(m.Headers, header(HeaderLastOffset, strconv.FormatInt(lastOffset, 10)))
	return m
}

func message(f pipeline.Failure, s Service, maxBytes int) kafkabinding.Message {
	original := f.Record.Message
	reason, stack := text(reasonOf(f.Err), maxReason), text(stackOf(f), maxStack)
	size := func() int {
		return sizeOf(original.Key, original.Value, original.Headers) + sizeOf(nil, nil, ownHeaders(f, s, reason, stack))
	}
	if size() > maxBytes {
		stack = ""
	}
	if excess := size() - maxBytes; excess > 0 {
		reason = text(reason, max(0, len(reason)-excess))
	}
	own := ownHeaders(f, s, reason, stack)
	headers := make([]kafkabinding.Header, 0, len(original.Headers)+len(own))
	headers = append(append(headers, original.Headers...), own...)
	return kafkabinding.Message{Key: original.Key, Value: original.Value, Headers: headers}
}

// ownHeaders are the headers that follow those of the original.
func ownHeaders(f pipeline.Failure, s Service, reason, stack string) []kafkabinding.Header {
	r := f.Record
	headers := make([]kafkabinding.Header, 0, 16)
	add := func(name, value string) { headers = append(headers, header(name, value)) }
	addTime := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	add(HeaderTopic, r.Topic)
	add(HeaderPartition, strconv.FormatInt(int64(r.Partition), 10))
	add(HeaderOffset, strconv.FormatInt(r.Offset, 10))
	addTime(HeaderTimestamp, r.Timestamp)
	add(HeaderReason, reason)
	add(HeaderClass, text(f.Class, maxName))
	add(HeaderRetries, strconv.Itoa(max(0, f.Attempts-1)))
	addTime(HeaderFirst, f.First)
	addTime(HeaderLast, f.Last)
	name := s.Name
	if name == "" {
		name = f.Function
	}
	add(HeaderService, text(name, maxName))
	add(HeaderVersion, text(s.Version, maxName))
	add(HeaderGroup, text(f.Group, maxName))
	add(HeaderReplays, "0")
	if stack != "" {
		add(HeaderStack, stack)
	}
	if trace := traceOf(r.Headers); trace != "" {
		add(HeaderTrace, trace)
	}
	return headers
}

func header(name, value string) kafkabinding.Header {
	return kafkabinding.Header{Key: []byte(name), Value: []byte(value)}
}

// reasonOf is err in one line.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// stackOf is where the handler panicked. An error has no stack: its place takes the chain of errors that it wraps.
func stackOf(f pipeline.Failure) string {
	if len(f.Stack) > 0 {
		return string(f.Stack)
	}
	return strings.Join(causes(nil, f.Err), "\n")
}

// causes appends a line for err and each error that it wraps, the outermost first.
func causes(lines []string, err error) []string {
	if err == nil || len(lines) == maxCauses {
		return lines
	}
	lines = append(lines, fmt.Sprintf("%T: %s", err, text(reasonOf(err), maxCause)))
	switch wrapper := err.(type) { //nolint:errorlint // the chain is walked, not searched
	case interface{ Unwrap() error }:
		lines = causes(lines, wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, cause := range wrapper.Unwrap() {
			lines = causes(lines, cause)
		}
	}
	return lines
}

// text returns s as valid UTF-8 of at most limit bytes.
func text(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "?")
}

// traceOf returns the trace that the event carries, where headers have none of their own.
func traceOf(headers []kafkabinding.Header) string {
	var trace string
	for _, h := range headers {
		switch string(h.Key) {
		case HeaderTrace:
			return ""
		case "ce_traceparent":
			trace = string(h.Value)
		}
	}
	return text(trace, maxName)
}

// sizeOf is what a record counts against a limit, as kafkasink reckons.
func sizeOf(key, value []byte, headers []kafkabinding.Header) int {
	const recordOverhead, headerOverhead = 36, 10
	n := recordOverhead + len(key) + len(value)
	for _, h := range headers {
		n += headerOverhead + len(h.Key) + len(h.Value)
	}
	return n
}
