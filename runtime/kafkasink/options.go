package kafkasink

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
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
	// DefaultMaxEventBytes is what a topic takes by default.
	DefaultMaxEventBytes = 1 << 20
	// DefaultMaxRawBytes is what the dead letter topic of infra/topics.yaml takes.
	DefaultMaxRawBytes = 2 << 20
	// DefaultTransactionTimeout is longer than the restart of a broker takes.
	DefaultTransactionTimeout = 30 * time.Second
)

// minTransactionTimeout leaves room for a leader's election within a transaction.
const minTransactionTimeout = 3 * time.Second

// Options are the settings of a Sink and of a Transactor. The zero value and nil are the defaults.
type Options struct {
	// Format of events. Default: Binary.
	Format Format
	// Compression of batches: "none", "gzip", "snappy", "lz4" or "zstd". Default: "none", which has the shortest way
	// for a single event; "lz4" or "zstd" pay off where the network or the disk is the bottleneck.
	Compression string
	// MaxEventBytes bounds the record of an event (key, value, headers, 36 bytes, and 10 for each header) and the batch
	// that goes to one partition, before compression. A larger event is a permanent error. Where a topic's
	// max.message.bytes is lower than a batch, the batch's records are sent one by one: that is slow, and no order of
	// theirs is kept. Default: 1 MiB.
	MaxEventBytes int
	// MaxRawBytes bounds a record of Produce in the same way: a dead letter is larger than the record that it keeps. At
	// least MaxEventBytes. Default: 2 MiB.
	MaxRawBytes int
	// TransactionTimeout is after how long the coordinator aborts a transaction whose program is gone; until then readers
	// with read_committed wait for it. A Transactor gives a transaction up after two thirds of it. At least 3 s; brokers
	// allow 15 minutes. Default: 30 s.
	TransactionTimeout time.Duration
}

// complete returns o with its defaults filled in, or what is wrong with it.
func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	c.Format = cmp.Or(c.Format, Binary)
	c.Compression = cmp.Or(c.Compression, "none")
	c.MaxEventBytes = cmp.Or(c.MaxEventBytes, DefaultMaxEventBytes)
	c.MaxRawBytes = cmp.Or(c.MaxRawBytes, max(DefaultMaxRawBytes, c.MaxEventBytes))
	c.TransactionTimeout = cmp.Or(c.TransactionTimeout, DefaultTransactionTimeout)
	return c, c.validate()
}

func (o *Options) validate() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("kafkasink.Options."+format, args...))
	}
	if o.Format.encoder() == nil {
		problem("Format is %q, must be %s, %s or %s", o.Format, Binary, Structured, Envelope)
	}
	if new(sarama.CompressionCodec).UnmarshalText([]byte(o.Compression)) != nil {
		problem("Compression is %q, must be none, gzip, snappy, lz4 or zstd", o.Compression)
	}
	if o.MaxEventBytes < 1 {
		problem("MaxEventBytes is %d, must be positive", o.MaxEventBytes)
	}
	if limit := int(sarama.MaxRequestSize); o.MaxRawBytes < o.MaxEventBytes || o.MaxRawBytes >= limit {
		problem("MaxRawBytes is %d, must be %d (MaxEventBytes) to %d", o.MaxRawBytes, o.MaxEventBytes, limit-1)
	}
	if o.TransactionTimeout < minTransactionTimeout {
		problem("TransactionTimeout is %s, must be at least %s", o.TransactionTimeout, minTransactionTimeout)
	}
	return errors.Join(problems...)
}

// The settings of the producer that are not options.
const (
	// replicaTimeout is how long the leader waits for the replicas.
	replicaTimeout = 5 * time.Second
	// responseTimeout is how long the broker's answer may take, replicaTimeout included.
	responseTimeout = 8 * time.Second
	// deliveryTimeout is how long a caller waits whose context allows more. Where brokers take connections but do not
	// answer, sarama's attempts add up to minutes.
	deliveryTimeout = 30 * time.Second
	// closeTimeout is how long Close waits for records on their way.
	closeTimeout = 5 * time.Second
	// retries bridge the election of a leader, about 5 s. What takes longer is the caller's, who is told.
	retries        = 8
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = time.Second
)

// backoff is how long to wait before a retry, the first of which is 1. That one comes at once: sarama waits for each
// record that it gives up on, not once for all, and a thousand records would take minutes to be told of.
func backoff() func(retry, retries int) time.Duration {
	later := sarama.NewExponentialBackoff(firstBackoff, longestBackoff)
	return func(retry, retries int) time.Duration {
		if retry <= 1 {
			return 0
		}
		return later(retry-1, retries)
	}
}

// configureBulk makes settings for a producer that sends what has gathered while the last request was under way: a
// single event goes at once, many go in large batches.
func (o *Options) configureBulk(conf *sarama.Config) error {
	p := &conf.Producer
	p.MaxMessageBytes = o.MaxEventBytes
	p.RequiredAcks = sarama.WaitForAll
	p.Idempotent = true
	p.Timeout = replicaTimeout
	p.Partitioner = newPartitioner
	p.Return.Successes = true
	p.Return.Errors = true
	p.Retry.Max = retries
	p.Retry.BackoffFunc = backoff()
	conf.Net.MaxOpenRequests = 1
	conf.Net.ReadTimeout = responseTimeout
	conf.Net.WriteTimeout = responseTimeout
	return p.Compression.UnmarshalText([]byte(o.Compression))
}

// configureSingle makes settings for a producer of one record in a request.
func (o *Options) configureSingle(conf *sarama.Config) error {
	err := o.configureBulk(conf)
	conf.Producer.MaxMessageBytes = o.MaxRawBytes
	conf.Producer.Flush.MaxMessages = 1
	return err
}

// message returns the record of an event, or why it cannot be encoded.
func (o *Options) message(out *pipeline.Output) (kafkabinding.Message, error) {
	m, err := o.Format.encoder()(out.Event)
	if err != nil {
		return m, invalid(subject(out.Topic, out.Event.ID()), err)
	}
	m.Headers = appendTrace(m.Headers, function.TraceOf(out.Event))
	return m, nil
}

// appendTrace adds the headers of W3C Trace Context: what instrumented programs read that know no CloudEvents, and the one
// place for it beside an envelope.
func appendTrace(headers []kafkabinding.Header, t function.Trace) []kafkabinding.Header {
	if t.IsZero() {
		return headers
	}
	headers = append(headers, kafkabinding.Header{Key: []byte(function.TraceParent), Value: []byte(t.Parent)})
	if t.State != "" {
		headers = append(headers, kafkabinding.Header{Key: []byte(function.TraceState), Value: []byte(t.State)})
	}
	return headers
}

// encoder returns how events and the keys that they ask for are written in the format f, nil where there is no such format.
func (f Format) encoder() func(event.Event) (kafkabinding.Message, error) {
	switch f {
	case Binary:
		return func(e event.Event) (kafkabinding.Message, error) {
			return kafkabinding.EncodeKeyed(e, kafkabinding.Binary)
		}
	case Structured:
		return func(e event.Event) (kafkabinding.Message, error) {
			return kafkabinding.EncodeKeyed(e, kafkabinding.Structured)
		}
	case Envelope:
		return func(e event.Event) (kafkabinding.Message, error) {
			key, _ := kafkabinding.PartitionKey(e)
			value, err := envelope.Encode(e)
			return kafkabinding.Message{Key: key, Value: value}, err
		}
	}
	return nil
}

// newPartitioner returns what chooses the partitions of topic: those of Java's clients for keys, random ones for records
// without a key.
func newPartitioner(topic string) sarama.Partitioner { return sarama.NewMurmur2Partitioner(topic) }
