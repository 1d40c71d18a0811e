package kafkasink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
)

// delivery is a record on its way, in one allocation.
type delivery struct {
	record     sarama.ProducerMessage
	key, value encoded

	// event is the id of the event, empty for a raw record.
	event string
	// size is what the record counts against the limit of a batch.
	size int
	// alone asks for a request of its own.
	alone bool
	// to is told the outcome, as that of the index-th part of what it waits for.
	to    receiver
	index int
}

// encoded are bytes that are ready to be sent. A pointer to them is an encoder without an allocation.
type encoded []byte

// Encode implements [sarama.Encoder].
func (e *encoded) Encode() ([]byte, error) { return *e, nil }

// Length implements [sarama.Encoder].
func (e *encoded) Length() int { return len(*e) }

func newDelivery(topic string, m kafkabinding.Message, timestamp time.Time) *delivery {
	d := &delivery{key: m.Key, value: m.Value}
	d.record = sarama.ProducerMessage{Topic: topic, Timestamp: timestamp, Metadata: d}
	// A null key or value is a nil Encoder; a nil slice in one would be null on the wire, but hashed as an empty key.
	if m.Key != nil {
		d.record.Key = &d.key
	}
	if m.Value != nil {
		d.record.Value = &d.value
	}
	d.record.Headers = recordHeaders(m.Headers)
	d.size = sizeOf(m)
	return d
}

// recordHeaders returns headers as sarama wants them, without a copy: both are a key and a value of bytes, which the
// conversion in it has the compiler check.
func recordHeaders(headers []kafkabinding.Header) []sarama.RecordHeader {
	var _ = sarama.RecordHeader(kafkabinding.Header{})
	if slices.ContainsFunc(headers, func(h kafkabinding.Header) bool { return h.Key == nil }) {
		headers = named(headers)
	}
	//nolint:gosec // a slice of one type read as a slice of the other: the compiler checked that their elements are alike
	return unsafe.Slice((*sarama.RecordHeader)(unsafe.Pointer(unsafe.SliceData(headers))), len(headers))
}

// named returns a copy of headers in which each has a name: Kafka knows no null one.
func named(headers []kafkabinding.Header) []kafkabinding.Header {
	headers = slices.Clone(headers)
	for i := range headers {
		if headers[i].Key == nil {
			headers[i].Key = []byte{}
		}
	}
	return headers
}

// The room that sarama reckons with for a record and for a header, beside their bytes.
const (
	recordOverhead = 5*binary.MaxVarintLen32 + binary.MaxVarintLen64 + 1
	headerOverhead = 2 * binary.MaxVarintLen32
)

// sizeOf is what the record of m counts against the limit of a batch, as sarama reckons.
func sizeOf(m kafkabinding.Message) int {
	n := recordOverhead + len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += headerOverhead + len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}

// subject names the delivery in errors.
func (d *delivery) subject() string { return subject(d.record.Topic, d.event) }

func subject(topic, eventID string) string {
	if eventID == "" {
		return "publish a record to topic " + topic
	}
	return fmt.Sprintf("publish event %s to topic %s", eventID, topic)
}

// receiver is told the outcome of deliveries.
type receiver interface{ delivered(index int, err error) }

// callback is the receiver of one delivery.
type callback func(error)

func (c callback) delivered(_ int, err error) { c(err) }

// batch is a receiver that waits for several deliveries.
type batch struct {
	// done is closed when every outcome is there; errs may be read then.
	done chan struct{}

	mu      sync.Mutex
	pending int
	errs    []error
	// one is the memory of errs where there is one delivery.
	one [1]error
}

// errPending stands for an outcome that is not there yet.
var errPending = errors.New("no outcome yet")

func newBatch(n int) *batch {
	b := &batch{done: make(chan struct{}), pending: n, one: [1]error{errPending}}
	switch n {
	case 0:
		close(b.done)
	case 1:
		b.errs = b.one[:]
	default:
		b.errs = slices.Repeat([]error{errPending}, n)
	}
	return b
}

func (b *batch) delivered(index int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs[index] = err
	b.pending--
	if b.pending == 0 {
		close(b.done)
	}
}

// abandon returns the outcomes so far, and cause for the deliveries that have none.
func (b *batch) abandon(deliveries []*delivery, cause error) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := slices.Clone(b.errs)
	for _, d := range deliveries {
		if errors.Is(errs[d.index], errPending) {
			errs[d.index] = function.Unavailable(Dependency, fmt.Errorf(
				"%s: not acknowledged in time, it may still be published: %w", d.subject(), cause))
		}
	}
	return errs
}
