package pipeline

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
)

// Record is a Kafka record, free of any vendor's type. A door makes one from what it received.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time
	kafkabinding.Message
}

// String names the record as errors and logs do: "order-events/2@1234".
func (r *Record) String() string {
	return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
}

// Size is the number of bytes that the record's key, value and headers hold.
func (r *Record) Size() int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// Detach copies the record's bytes out of the fetch buffer that they alias, so that a record that waits does not hold a
// whole fetch response in memory.
func (r *Record) Detach() {
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	headers := make([]kafkabinding.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = kafkabinding.Header{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)}
	}
	r.Headers = headers
}

// trace returns the trace that the record's headers tell of (W3C Trace Context). Of headers that repeat the first counts.
func (r *Record) trace() function.Trace {
	parent := r.header(function.TraceParent)
	if parent == nil {
		return function.Trace{}
	}
	return function.NewTrace(string(parent), string(r.header(function.TraceState)))
}

// header returns the value of the first header of that name, nil where there is none.
func (r *Record) header(name string) []byte {
	for i := range r.Headers {
		if string(r.Headers[i].Key) == name {
			return r.Headers[i].Value
		}
	}
	return nil
}

// Output is an event on its way to a topic.
type Output struct {
	Topic string
	Event event.Event
}

// Failure is why a record becomes a dead letter.
type Failure struct {
	Record *Record
	// EventID is the id of the record's event, empty when it could not be decoded.
	EventID string
	// Function and Group are who gave up.
	Function string
	Group    string
	// Err is the last failure, Class its kind (function.ClassSchema and so on).
	Err   error
	Class string
	// Attempts is how often the handler was called: 0 for a record that was never handed over.
	Attempts    int
	First, Last time.Time
	// Stack is where the handler panicked, if it did.
	Stack []byte
	// Lost says that the bytes of the records from Record.Offset up to LastOffset cannot be had.
	Lost       bool
	LastOffset int64
}
