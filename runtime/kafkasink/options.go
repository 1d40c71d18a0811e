package kafkasink

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// Format is how an event is written into a record.
type Format string

// The formats.
const (
	// Binary is the binary mode of the CloudEvents Kafka binding: attributes in headers, data in the value.
	Binary Format = "binary"
	// Structured is its structured mode: a JSON object in the value.
	Structured Format = "structured"
	// Envelope is the JSON of cloudevents/envelope, for consumers that know no CloudEvents.
	Envelope Format = "envelope"
)

// The defaults of Options.
const (
	// DefaultMaxRecordBytes is what a broker takes by default, less its overhead.
	DefaultMaxRecordBytes = 1 << 20
)

// Options are the settings of a Sink. The zero value and nil are the defaults.
type Options struct {
	// Format of events. Default: Binary.
	Format Format
	// Compression of batches: "none", "gzip", "snappy", "lz4" or "zstd". Default: "none", which has the shortest way
	// for a single event; "lz4" or "zstd" pay off where the network or the disk is the bottleneck.
	Compression string
	// MaxRecordBytes bounds a record (key, value, headers, and 36 bytes with 10 per header on top) and the batch that
	// goes to one partition, before compression. A larger record is a permanent error. Keep it at or below the
	// smallest max.message.bytes of the topics. Default: 1 MiB.
	MaxRecordBytes int
}

// complete returns o with its defaults filled in.
func (o *Options) complete() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Format == "" {
		c.Format = Binary
	}
	if c.Compression == "" {
		c.Compression = "none"
	}
	if c.MaxRecordBytes == 0 {
		c.MaxRecordBytes = DefaultMaxRecordBytes
	}
	return c
}

// The settings of the producer that are not options.
const (
	// replicaTimeout is how long the leader waits for the replicas.
	replicaTimeout = 10 * time.Second
	// responseTimeout is how long the broker's answer may take, replicaTimeout included.
	responseTimeout = 15 * time.Second
	// The retries bridge the election of a leader, about 5 s. What takes longer is the caller's, who is told.
	retries        = 7
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = time.Second
)

// configure sets what a producer needs on conf.
func (o *Options) configure(conf *sarama.Config) error {
	p := &conf.Producer
	if err := p.Compression.UnmarshalText([]byte(o.Compression)); err != nil {
		return fmt.Errorf("kafkasink.Options.Compression is %q, must be none, gzip, snappy, lz4 or zstd", o.Compression)
	}
	if limit := int(sarama.MaxRequestSize); o.MaxRecordBytes < 1 || o.MaxRecordBytes >= limit {
		return fmt.Errorf("kafkasink.Options.MaxRecordBytes is %d, must be 1 to %d", o.MaxRecordBytes, limit-1)
	}
	p.MaxMessageBytes = o.MaxRecordBytes
	p.RequiredAcks = sarama.WaitForAll
	p.Idempotent = true
	p.Timeout = replicaTimeout
	p.Partitioner = sarama.NewMurmur2Partitioner
	p.Return.Successes = true
	p.Return.Errors = true
	p.Retry.Max = retries
	p.Retry.BackoffFunc = sarama.NewExponentialBackoff(firstBackoff, longestBackoff)
	conf.Net.MaxOpenRequests = 1
	conf.Net.ReadTimeout = responseTimeout
	conf.Net.WriteTimeout = responseTimeout
	return nil
}

// encoder returns how events are written in the format f.
func (f Format) encoder() (func(event.Event) (kafkabinding.Message, error), error) {
	switch f {
	case Binary:
		return func(e event.Event) (kafkabinding.Message, error) { return kafkabinding.Encode(e, kafkabinding.Binary) }, nil
	case Structured:
		return func(e event.Event) (kafkabinding.Message, error) {
			return kafkabinding.Encode(e, kafkabinding.Structured)
		}, nil
	case Envelope:
		return encodeEnvelope, nil
	}
	return nil, fmt.Errorf("kafkasink.Options.Format is %q, must be %s, %s or %s", f, Binary, Structured, Envelope)
}

func encodeEnvelope(e event.Event) (kafkabinding.Message, error) {
	value, err := envelope.Encode(e)
	return kafkabinding.Message{Value: value}, err
}
