package kafkaclient

import (
	"context"
	"errors"
	"io"

	"github.com/IBM/sarama"
)

// obstacleBytes is how far ahead of its offset sarama's consumer may be stopped by a batch: what it fetches at once, and as
// much again, for where its fetch began is known only roughly.
const obstacleBytes = 2 << 20

// FindObstacle tells whether sarama's consumer stands still at the offset from of a partition, or soon behind it, because
// of a batch that only a [BatchReader] can read or pass. Ask when a partition has not got on although there are records
// behind from, or when a fetch failed with an error that [IsBatchError] knows: that error comes for each partition of the
// broker, and does not say which of them it is about.
//
// Where there is no obstacle, next is the offset up to which that is certain: there may be nothing but markers of
// transactions, so that nothing comes although the partition does not end at from.
func (c Config) FindObstacle(ctx context.Context, client sarama.Client, topic string, partition int32, from int64) (found bool, next int64, err error) {
	r := c.NewBatchReader(client, topic, partition, from, nil)
	r.wait = 0
	defer r.Close()
	for seen := 0; seen < obstacleBytes; {
		if err := r.fetch(ctx); err != nil {
			return false, r.offset, err
		}
		if len(r.batches) == 0 {
			return false, r.offset, nil
		}
		found, n, err := r.inspect()
		if found || err != nil {
			return found, r.offset, err
		}
		seen += n
	}
	return false, r.offset, nil
}

// inspect goes through the batches of an answer. It returns whether one is an obstacle, and how many bytes have records
// for a reader.
func (r *BatchReader) inspect() (found bool, bytes int, err error) {
	for len(r.batches) > 0 {
		b, rest, err := cutBatch(r.batches)
		if errors.Is(err, errPartial) {
			return false, bytes, r.askForMore()
		}
		if err == nil {
			err = b.check()
		}
		if err != nil {
			return false, bytes, err
		}
		r.batches, r.whole, r.fetchBytes = rest, false, fetchBytes
		if b.last() < r.offset {
			continue
		}
		discarded := r.discards(&b)
		// sarama decodes also what it discards.
		if b.obstructs() {
			return true, bytes, nil
		}
		if !discarded {
			bytes += len(b.compressed)
		}
		r.offset = b.last() + 1
	}
	return false, bytes, nil
}

// obstructs tells whether sarama cannot get past b.
func (b *batch) obstructs() bool {
	if int64(b.Records) > int64(len(b.compressed)) {
		return true
	}
	records, err := b.read(ClientBatchBytes)
	if err != nil {
		return true
	}
	defer records.close()
	for {
		_, _, err := records.next()
		if err != nil {
			return !errors.Is(err, io.EOF)
		}
	}
}

// IsBatchError tells whether err, which sarama's consumer or consumer group reported, says that a fetch was answered but not
// understood: then one of the partitions of that broker has an obstacle ([Config.FindObstacle]).
func IsBatchError(err error) bool {
	report, ok := errors.AsType[*sarama.ConsumerError](err)
	if !ok {
		return false
	}
	_, refused := errors.AsType[sarama.KError](report.Err)
	_, unreachable := errors.AsType[interface {
		error
		Timeout() bool
	}](report.Err)
	return !refused && !unreachable && !errors.Is(report.Err, io.EOF) && !errors.Is(report.Err, io.ErrUnexpectedEOF) &&
		!errors.Is(report.Err, sarama.ErrNotConnected) && !errors.Is(report.Err, sarama.ErrOutOfBrokers) &&
		!errors.Is(report.Err, sarama.ErrClosedClient)
}
