package deadletter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/pipeline"
)

// DefaultTopic is where dead letters go.
const DefaultTopic = "dead-letter-queue"

// Producer writes a record to a topic and returns nil when all in-sync replicas have it. *kafkasink.Sink is one.
type Producer interface {
	Produce(ctx context.Context, topic string, m kafkabinding.Message, timestamp time.Time) error
}

// Options are the settings of a Writer. The zero value and nil are the defaults.
type Options struct {
	// Topic of the dead letters. Default: DefaultTopic.
	Topic string
	// MaxBytes is how large a letter may become; keep it 1 KiB below the topic's max.message.bytes. Default:
	// DefaultMaxBytes.
	MaxBytes int
}

// Writer writes dead letters. Its methods may be called concurrently.
type Writer struct {
	producer Producer
	service  Service
	topic    string
	maxBytes int

	mu      sync.Mutex
	written int64
	err     error
	failed  time.Time
}

// errMemory is how long Err tells of a failure that nobody repeated: a record whose letter failed is tried again within
// seconds, here or, after a rebalance, by another process.
const errMemory = time.Minute

// NewWriter returns a Writer of letters that name service. nil options are the defaults.
func NewWriter(p Producer, service Service, o *Options) *Writer {
	w := &Writer{producer: p, service: service, topic: DefaultTopic, maxBytes: DefaultMaxBytes}
	if o != nil && o.Topic != "" {
		w.topic = o.Topic
	}
	if o != nil && o.MaxBytes != 0 {
		w.maxBytes = o.MaxBytes
	}
	return w
}

// Write writes the dead letter of f and returns nil when it is acknowledged: only then is the record finished. It may be
// there twice when Write failed and is called again.
func (w *Writer) Write(ctx context.Context, f pipeline.Failure) error {
	letter := message(f, w.service, w.maxBytes)
	if f.Lost {
		letter = Lost(f, f.LastOffset, w.service)
	}
	err := w.producer.Produce(ctx, w.topic, letter, time.Time{})
	if err != nil {
		err = fmt.Errorf("dead letter of %s: %w", subject(f), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	if err == nil {
		w.written++
	} else {
		w.failed = time.Now()
	}
	return err
}

func subject(f pipeline.Failure) string {
	if f.EventID == "" {
		return f.Record.String()
	}
	return fmt.Sprintf("%s, event %s", f.Record, f.EventID)
}

// Err returns the error of the last Write, nil where it succeeded or is longer ago than a minute. While it is not nil,
// records wait that should be in the dead letter topic.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.failed) > errMemory {
		return nil
	}
	return w.err
}

// Written returns how many letters were acknowledged.
func (w *Writer) Written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}
