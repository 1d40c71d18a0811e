package kafkaclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// ClientBatchBytes is how many bytes a record batch may have, decompressed, for sarama to take it. It is far more than
// producers put into one batch, and little enough that a batch of nothing but empty headers, which take 28 times their
// bytes in memory, does no harm. A [BatchReader] takes larger ones, up to Config.MaxBatchBytes.
const ClientBatchBytes = 4 << 20

// ErrBatchTooLarge is why the records of a batch are lost that holds more than KAFKA_MAX_BATCH_BYTES.
var ErrBatchTooLarge = errors.New("it holds more than KAFKA_MAX_BATCH_BYTES allows")

// ErrBatchMalformed is why the records of a batch are lost that does not hold what its header says.
var ErrBatchMalformed = errors.New("it cannot be decoded")

// LostError names records whose bytes cannot be had. It wraps ErrBatchTooLarge or ErrBatchMalformed.
type LostError struct {
	Topic     string
	Partition int32
	// First and Last are the offsets between which, both included, nothing was or will be read.
	First, Last int64
	// Timestamp is the newest of the batch.
	Timestamp time.Time
	// Codec is the batch's compression, CompressedBytes its size on the wire.
	Codec           string
	CompressedBytes int
	Err             error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("%s/%d: the batch of offsets %d to %d (%s, %d bytes) cannot be read: %v",
		e.Topic, e.Partition, e.First, e.Last, e.Codec, e.CompressedBytes, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Fetched is what a [BatchReader] read: records in the order of their offsets, or the account of records that are lost.
type Fetched struct {
	Messages []*sarama.ConsumerMessage
	Lost     *LostError
}

func (f *Fetched) empty() bool { return len(f.Messages) == 0 && f.Lost == nil }

// The size of what Next returns.
const (
	maxFetched      = 256
	maxFetchedBytes = 1 << 20
)

// BatchReader reads one partition, batch by batch, in little memory. It reads what sarama's consumer cannot, and on
// which that consumer stands still, along with all partitions of the same broker:
//
//   - a batch of more than ClientBatchBytes;
//   - a batch that holds more records than it has compressed bytes, such as thousands of equal small ones: for sarama
//     1.61.1 it is cut off, so it waits for the rest, without an error;
//   - a batch that is malformed.
//
// The first two it delivers; what is larger than Config.MaxBatchBytes, or malformed, it passes, and says so.
//
// It belongs to one goroutine, but for HighWaterMark. Close it when it is done.
type BatchReader struct {
	client    sarama.Client
	topic     string
	partition int32
	limit     int64
	log       *slog.Logger

	offset        int64
	highWaterMark atomic.Int64
	connection    *connection
	fetchBytes    int32
	wait          int32
	// batches is what is left of the last answer, whole that nothing was taken from it yet, aborted the transactions in it
	// that were not reached yet.
	batches []byte
	whole   bool
	aborted []abortedTransaction
	// discarded are the producers whose records are of an aborted transaction.
	discarded map[int64]bool
	// records reads current, the batch that was begun.
	current batch
	records *recordReader
}

// BatchReaderOptions are the settings of a BatchReader. nil and the zero value are the defaults.
type BatchReaderOptions struct {
	// Log takes what keeps the reader from its work. Default: slog.Default().
	Log *slog.Logger
}

// NewBatchReader returns a reader of a partition from offset on. It uses the settings of client, its isolation level and
// what it knows of leaders, but connections of its own, so that nobody else waits for them.
func (c Config) NewBatchReader(client sarama.Client, topic string, partition int32, offset int64, o *BatchReaderOptions) *BatchReader {
	r := &BatchReader{
		client: client, topic: topic, partition: partition, limit: c.maxBatchBytes(), log: slog.Default(),
		offset: offset, fetchBytes: fetchBytes, wait: fetchWait, discarded: map[int64]bool{},
	}
	if o != nil && o.Log != nil {
		r.log = o.Log
	}
	return r
}

// HighWaterMark returns the offset of the next record to be produced, as of the last fetch. Any goroutine may call it.
func (r *BatchReader) HighWaterMark() int64 { return r.highWaterMark.Load() }

// Close closes the connection.
func (r *BatchReader) Close() {
	r.finish()
	r.disconnect()
}

// retries is how long Next waits after an error.
const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 5 * time.Second
)

// Next waits for records and returns some of them: at most 256, and 1 MiB unless one is larger. What goes wrong is logged and
// tried again, with another leader where there is one. An error is final: that of ctx, or sarama.ErrOffsetOutOfRange.
func (r *BatchReader) Next(ctx context.Context) (Fetched, error) {
	for retry := firstRetry; ; {
		fetched, err := r.step(ctx)
		if err == nil {
			if !fetched.empty() {
				return fetched, nil
			}
			retry = firstRetry
			continue
		}
		if ctx.Err() != nil {
			return Fetched{}, ctx.Err()
		}
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return Fetched{}, fmt.Errorf("%s/%d@%d: %w", r.topic, r.partition, r.offset, err)
		}
		r.log.WarnContext(ctx, "reading batch by batch does not get on", "topic", r.topic, "partition", r.partition,
			"offset", r.offset, "error", err, "after", retry)
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return Fetched{}, ctx.Err()
		}
		retry = min(2*retry, maxRetry)
		r.recover()
	}
}

// step reads on in the batch that was begun, or begins the next, or fetches.
func (r *BatchReader) step(ctx context.Context) (Fetched, error) {
	switch {
	case r.records != nil:
		return r.read(), nil
	case len(r.batches) > 0:
		return r.begin()
	default:
		return Fetched{}, r.fetch(ctx)
	}
}

// fetch asks the leader for what follows.
func (r *BatchReader) fetch(ctx context.Context) error {
	if r.connection == nil {
		leader, err := r.client.Leader(r.topic, r.partition)
		if err != nil {
			return err
		}
		if r.connection, err = open(ctx, leader.Addr(), r.client.Config()); err != nil {
			return err
		}
	}
	a, err := r.connection.fetch(ctx, wanted{
		topic: r.topic, partition: r.partition, offset: r.offset, bytes: r.fetchBytes,
		isolation: r.client.Config().Consumer.IsolationLevel, wait: r.wait,
	})
	if err != nil {
		return err
	}
	r.highWaterMark.Store(a.highWaterMark)
	r.batches, r.whole = a.batches, true
	r.aborted = a.aborted
	slices.SortFunc(r.aborted, func(a, b abortedTransaction) int { return cmp.Compare(a.First, b.First) })
	clear(r.discarded)
	return nil
}

// recover makes the next step begin anew, with the leader that the cluster names then.
func (r *BatchReader) recover() {
	r.finish()
	r.disconnect()
	r.batches = nil
	if err := r.client.RefreshMetadata(r.topic); err != nil {
		r.log.Warn("the leader of a partition is not known", "topic", r.topic, "partition", r.partition, "error", err)
	}
}

func (r *BatchReader) disconnect() {
	if r.connection != nil {
		r.connection.close()
		r.connection = nil
	}
}

// begin begins the next batch of the answer.
func (r *BatchReader) begin() (Fetched, error) {
	b, rest, err := cutBatch(r.batches)
	if errors.Is(err, errPartial) {
		return Fetched{}, r.askForMore()
	}
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return Fetched{}, err
	}
	r.batches, r.whole, r.fetchBytes = rest, false, fetchBytes
	switch {
	case b.last() < r.offset:
		return Fetched{}, nil
	case r.discards(&b):
		r.offset = b.last() + 1
		return Fetched{}, nil
	}
	r.current = b
	r.records, err = r.current.read(r.limit)
	if err != nil {
		return r.lose(err), nil
	}
	return r.read(), nil
}

// askForMore drops the cut end of an answer. An answer that is nothing but that is asked for again, larger.
func (r *BatchReader) askForMore() error {
	r.batches = nil
	if !r.whole {
		return nil
	}
	if r.fetchBytes > sarama.MaxResponseSize/2 {
		return fmt.Errorf("the batch at offset %d takes more than %d bytes", r.offset, r.fetchBytes)
	}
	r.fetchBytes *= 2
	return nil
}

// discards tells whether b holds nothing for a reader: the marker of a transaction or, where only what is committed is
// wanted, records of an aborted one.
func (r *BatchReader) discards(b *batch) bool {
	for len(r.aborted) > 0 && r.aborted[0].First <= b.last() {
		r.discarded[r.aborted[0].Producer] = true
		r.aborted = r.aborted[1:]
	}
	if b.isControl() {
		// Whether it commits or aborts, the transaction ends here; one that follows is listed by itself.
		delete(r.discarded, b.Producer)
		return true
	}
	committed := r.client.Config().Consumer.IsolationLevel == sarama.ReadCommitted
	return b.Records == 0 || committed && b.transactional() && r.discarded[b.Producer]
}

// read returns the next records of the batch that was begun.
func (r *BatchReader) read() Fetched {
	var fetched Fetched
	for bytes := int64(0); len(fetched.Messages) < maxFetched && bytes < maxFetchedBytes; {
		m, weight, err := r.records.next()
		if errors.Is(err, io.EOF) {
			r.finish()
			r.offset = max(r.offset, r.current.last()+1)
			break
		}
		if err != nil && len(fetched.Messages) > 0 {
			// What was read before goes first: the error comes again.
			r.records.failed = err
			break
		}
		if err != nil {
			return r.lose(err)
		}
		if m.Offset < r.offset {
			continue
		}
		m.Topic, m.Partition = r.topic, r.partition
		r.offset = m.Offset + 1
		bytes += weight
		fetched.Messages = append(fetched.Messages, m)
	}
	return fetched
}

// lose passes what is left of the batch.
func (r *BatchReader) lose(err error) Fetched {
	reason := fmt.Errorf("%w: %w", ErrBatchMalformed, err)
	if errors.Is(err, errTooMuch) {
		reason = fmt.Errorf("%w: %d bytes", ErrBatchTooLarge, r.limit)
	}
	lost := &LostError{
		Topic: r.topic, Partition: r.partition, First: r.offset, Last: r.current.last(),
		Timestamp: time.UnixMilli(r.current.LastTime), Codec: r.current.codecName(), CompressedBytes: len(r.current.compressed), Err: reason,
	}
	lost.First = max(lost.First, r.current.First)
	r.finish()
	r.offset = r.current.last() + 1
	return Fetched{Lost: lost}
}

// finish ends the reading of a batch.
func (r *BatchReader) finish() {
	if r.records != nil {
		r.records.close()
		r.records = nil
	}
}
