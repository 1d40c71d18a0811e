package records

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/pipeline"
)

// All is, as the number of records to begin with, every record that the topic has.
const All = math.MaxInt64

// Reader reads the records of one topic. One goroutine at a time uses it; it ends with its client.
type Reader struct {
	client *Client
	topic  string
	// next is the offset of each partition that was not read yet, ends the offset where what was there at the mark ends.
	next, ends map[int32]int64
}

// Read returns a reader that begins with the last records of each partition, as many as are asked for: 0 is what comes
// from now on. An unknown topic is a [*cluster.UnknownTopicError]. A client reads one topic once.
func (c *Client) Read(ctx context.Context, topic string, last int64) (*Reader, error) {
	if err := c.CheckTopic(ctx, topic); err != nil {
		return nil, err
	}
	spans, err := c.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	r := &Reader{client: c, topic: topic, next: map[int32]int64{}, ends: map[int32]int64{}}
	offsets := map[int32]kgo.Offset{}
	for partition, span := range spans[topic] {
		r.next[partition] = max(span.Start, span.End-last)
		r.ends[partition] = span.End
		offsets[partition] = kgo.NewOffset().At(r.next[partition])
	}
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})
	return r, nil
}

// Mark makes [Reader.CaughtUp] mean what is there now.
func (r *Reader) Mark(ctx context.Context) error {
	spans, err := r.client.Offsets(ctx, r.topic)
	if err != nil {
		return err
	}
	for partition, span := range spans[r.topic] {
		r.ends[partition] = span.End
	}
	return nil
}

// CaughtUp tells whether everything was read that was there when the reader began, or at the last [Reader.Mark].
func (r *Reader) CaughtUp() bool {
	for partition, end := range r.ends {
		if r.next[partition] < end {
			return false
		}
	}
	return true
}

// silence is after how long without records the cluster is asked whether it is still there: the client that fetches would
// try for ever.
const silence = 2 * time.Second

// Next waits for records and returns some. Those of a partition are in their order; across partitions they are by time,
// as far as they came together. A broker that no longer answers is a [*cluster.UnreachableError]; one that answers again
// within seconds is read on from where it was.
func (r *Reader) Next(ctx context.Context) ([]pipeline.Record, error) {
	for {
		fetches, err := r.poll(ctx)
		if err != nil {
			return nil, err
		}
		if !fetches.Empty() {
			return r.take(fetches), nil
		}
		if _, err := r.client.Offsets(ctx, r.topic); err != nil {
			return nil, err
		}
	}
}

// poll returns what comes before the silence was long enough.
func (r *Reader) poll(ctx context.Context) (kgo.Fetches, error) {
	limited, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	fetches := r.client.PollFetches(limited)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, failed := range fetches.Errors() {
		var loss *kgo.ErrDataLoss // the log became shorter; the client goes on where it ends
		if limited.Err() == nil && !errors.As(failed.Err, &loss) {
			return nil, fmt.Errorf("read topic %s: %w", r.topic, failed.Err)
		}
	}
	return fetches, nil
}

func (r *Reader) take(fetches kgo.Fetches) []pipeline.Record {
	var partitions [][]*kgo.Record
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			r.next[p.Partition] = p.Records[n-1].Offset + 1
			partitions = append(partitions, p.Records)
		}
	})
	return merge(partitions)
}

// merge joins the records of partitions by time, without changing the order in a partition. Transactions' markers are
// left out.
func merge(partitions [][]*kgo.Record) []pipeline.Record {
	var merged []pipeline.Record
	for len(partitions) > 0 {
		first := 0
		for i := range partitions {
			if partitions[i][0].Timestamp.Before(partitions[first][0].Timestamp) {
				first = i
			}
		}
		if record := partitions[first][0]; !record.Attrs.IsControl() {
			merged = append(merged, convert(record))
		}
		if partitions[first] = partitions[first][1:]; len(partitions[first]) == 0 {
			partitions = slices.Delete(partitions, first, first+1)
		}
	}
	return merged
}

func convert(r *kgo.Record) pipeline.Record {
	headers := make([]kafkabinding.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = kafkabinding.Header{Key: []byte(h.Key), Value: h.Value}
	}
	return pipeline.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp,
		Message: kafkabinding.Message{Key: r.Key, Value: r.Value, Headers: headers},
	}
}
