package kafkasink

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// The bounds of a batch and of a request, beside Options.MaxEventBytes for a batch.
const (
	maxBatchRecords = 1 << 16
	// maxRequestBytes is far below what brokers take (socket.request.max.bytes, 100 MiB).
	maxRequestBytes = 16 << 20
	// batchOverhead is what a batch takes beside its records.
	batchOverhead = 61
)

// shipment is a batch on its way.
type shipment struct {
	queue *queue
	// n is how many of the queue's records it holds.
	n      int
	answer sarama.KError
}

// publish sends all records: in rounds of one request for each leader, with one batch for each partition. It goes on
// past records that are refused, so that the error names them all.
func (t *Transactor) publish(ctx context.Context, tx *transaction, queues []*queue) error {
	var failures []RecordFailure
	var patience postponed
	for len(queues) > 0 {
		shipments, err := t.sendRound(tx, queues)
		if err != nil {
			return err
		}
		patience.begin()
		for _, s := range shipments {
			more, err := t.settleShipment(tx, s, &patience)
			if err != nil {
				return err
			}
			failures = append(failures, more...)
		}
		if err := t.afterRound(ctx, &patience); err != nil {
			return err
		}
		queues = slices.DeleteFunc(queues, func(q *queue) bool { return len(q.records) == 0 })
	}
	return recordsError(failures)
}

// postponed keeps how long leaders have answered "later".
type postponed struct {
	topics []string
	since  time.Time
	retry  int
}

func (p *postponed) begin() { p.topics = p.topics[:0] }

// over tells whether answerPatience has ended.
func (p *postponed) over() bool { return !p.since.IsZero() && time.Since(p.since) > answerPatience }

// afterRound waits, where a leader answered "later", and asks who leads now.
func (t *Transactor) afterRound(ctx context.Context, p *postponed) error {
	if len(p.topics) == 0 {
		p.since, p.retry = time.Time{}, 0
		return nil
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.retry++
	if err := wait(ctx, p.retry); err != nil {
		return err
	}
	slices.Sort(p.topics)
	// Where it fails, the leaders that are known are asked again.
	_ = t.client.RefreshMetadata(slices.Compact(p.topics)...)
	return nil
}

// sendRound sends the first batch of each queue, and returns when every leader has answered.
func (t *Transactor) sendRound(tx *transaction, queues []*queue) ([]*shipment, error) {
	requests := map[*sarama.Broker]*produceRequest{}
	var shipments []*shipment
	for _, q := range queues {
		leader, err := t.client.Leader(q.topic, q.partition)
		if answer, ok := errors.AsType[sarama.KError](err); ok {
			shipments = append(shipments, &shipment{queue: q, answer: answer})
			continue
		}
		if err != nil {
			return nil, &lostError{err}
		}
		r := requests[leader]
		if r == nil {
			r = &produceRequest{request: t.newProduceRequest()}
			requests[leader] = r
		}
		if r.bytes < maxRequestBytes {
			r.add(t.newBatch(tx, q))
		}
	}
	var group sync.WaitGroup
	for leader, r := range requests {
		shipments = append(shipments, r.shipments...)
		group.Go(func() { r.send(leader) })
	}
	group.Wait()
	for _, r := range requests {
		if r.err != nil {
			return nil, r.err
		}
	}
	return shipments, nil
}

func (t *Transactor) newProduceRequest() *sarama.ProduceRequest {
	return &sarama.ProduceRequest{
		Version:         10,
		TransactionalID: &t.id,
		RequiredAcks:    sarama.WaitForAll,
		Timeout:         int32(replicaTimeout / time.Millisecond),
	}
}

// produceRequest is a request to one leader.
type produceRequest struct {
	request   *sarama.ProduceRequest
	shipments []*shipment
	bytes     int
	err       error
}

func (r *produceRequest) add(q *queue, batch *sarama.RecordBatch, bytes int) {
	r.request.AddBatch(q.topic, q.partition, batch)
	r.shipments = append(r.shipments, &shipment{queue: q, n: len(batch.Records)})
	r.bytes += bytes
}

// send sends the request and gives each shipment its answer.
func (r *produceRequest) send(leader *sarama.Broker) {
	response, err := leader.Produce(r.request)
	if err != nil {
		r.err = &lostError{err}
		return
	}
	for _, s := range r.shipments {
		block := response.GetBlock(s.queue.topic, s.queue.partition)
		if block == nil {
			r.err = &lostError{sarama.ErrIncompleteResponse}
			return
		}
		s.answer = block.Err
	}
}

// newBatch returns the next batch of q and its size.
func (t *Transactor) newBatch(tx *transaction, q *queue) (*queue, *sarama.RecordBatch, int) {
	n, bytes := q.next(tx, t.options.MaxEventBytes)
	batch := &sarama.RecordBatch{
		Version: 2,
		Codec:   t.codec,
		// The codec's own default.
		CompressionLevel: sarama.CompressionLevelDefault,
		ProducerID:       t.epoch.id,
		ProducerEpoch:    t.epoch.number,
		FirstSequence:    t.epoch.sequences[q.topicPartition],
		IsTransactional:  true,
	}
	fill(batch, tx, q.records[:n])
	return q, batch, bytes
}

// next tells how many records the next batch of q takes, at least one, and their size.
func (q *queue) next(tx *transaction, limit int) (n, bytes int) {
	bytes = batchOverhead
	for _, i := range q.records[:min(len(q.records), q.limit)] {
		size := tx.records[i].size
		if n > 0 && bytes+size > limit {
			break
		}
		bytes += size
		n++
	}
	return n, bytes
}

// fill puts records into batch. Kafka's times are in milliseconds.
func fill(batch *sarama.RecordBatch, tx *transaction, indices []int) {
	now := time.Now()
	records := make([]sarama.Record, len(indices))
	batch.Records = make([]*sarama.Record, len(indices))
	headers := make([]*sarama.RecordHeader, 0, len(indices)*len(tx.records[indices[0]].message.Headers))
	for i, index := range indices {
		p := &tx.records[index]
		timestamp := p.timestamp
		if timestamp.IsZero() {
			timestamp = now
		}
		timestamp = timestamp.Truncate(time.Millisecond)
		if i == 0 {
			batch.FirstTimestamp, batch.MaxTimestamp = timestamp, timestamp
		}
		if timestamp.After(batch.MaxTimestamp) {
			batch.MaxTimestamp = timestamp
		}
		first := len(headers)
		headers = appendHeaders(headers, p.message.Headers)
		records[i] = sarama.Record{
			Headers:        headers[first:len(headers):len(headers)],
			TimestampDelta: timestamp.Sub(batch.FirstTimestamp),
			OffsetDelta:    int64(i),
			Key:            p.message.Key,
			Value:          p.message.Value,
		}
		batch.Records[i] = &records[i]
	}
	batch.LastOffsetDelta = int32(len(indices) - 1) //nolint:gosec // at most maxBatchRecords
}

// appendHeaders appends headers as sarama wants them.
func appendHeaders(to []*sarama.RecordHeader, headers []kafkabinding.Header) []*sarama.RecordHeader {
	named := recordHeaders(headers)
	for i := range named {
		to = append(to, &named[i])
	}
	return to
}

// settleShipment takes note of a leader's answer. It returns the records that cannot be published.
func (t *Transactor) settleShipment(tx *transaction, s *shipment, patience *postponed) ([]RecordFailure, error) {
	q := s.queue
	switch {
	case s.answer == sarama.ErrNoError, s.answer == sarama.ErrDuplicateSequenceNumber:
		t.epoch.sequences[q.topicPartition] = nextSequence(t.epoch.sequences[q.topicPartition], s.n)
		q.records = q.records[s.n:]
		q.limit = min(2*q.limit, maxBatchRecords)
		return nil, nil
	case isAny(s.answer, postponements) && !patience.over():
		patience.topics = append(patience.topics, q.topic)
		return nil, nil
	case isAny(s.answer, refusals) && s.n > 1:
		// One of them is too large, or they are too many for the topic.
		q.limit = s.n / 2
		return nil, nil
	case isAny(s.answer, standings):
		return nil, s.answer
	case isAny(s.answer, refusals):
		failed := q.records[:1]
		q.records = q.records[1:]
		return t.failRecords(tx, failed, s.answer)
	}
	failed := q.records
	q.records = nil
	return t.failRecords(tx, failed, s.answer)
}

// standings are answers that are about the producer, not about the records.
var standings = []sarama.KError{
	sarama.ErrProducerFenced,
	sarama.ErrInvalidProducerEpoch,
	sarama.ErrInvalidTxnState,
	sarama.ErrInvalidProducerIDMapping,
	sarama.ErrTransactionCoordinatorFenced,
	sarama.ErrOutOfOrderSequenceNumber,
	sarama.ErrUnknownProducerID,
	sarama.ErrTransactionalIDAuthorizationFailed,
}

// nextSequence is the sequence number after n records from first. The numbers begin again at 0 after the last one.
func nextSequence(first int32, n int) int32 {
	return int32((int64(first) + int64(n)) & 0x7fffffff)
}
