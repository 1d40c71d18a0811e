package records

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// deliveryTimeout bounds how long a record may wait for its acknowledgement.
const deliveryTimeout = 10 * time.Second

// maxBatchBytes leaves it to the broker to refuse what is too large for a topic: it knows the limit, and its answer says so.
const maxBatchBytes = 16 << 20

// Client reads and writes records. Close it once.
type Client struct{ *cluster.Client }

// Connect returns a client once a broker answered. Its errors are those of [cluster.Connect].
func Connect(ctx context.Context, config kafkaclient.Config) (*Client, error) {
	c, err := cluster.Connect(ctx, config,
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(time.Second),
	)
	if err != nil {
		return nil, err
	}
	return &Client{Client: c}, nil
}

// Written is where a record was put, or why it was not.
type Written struct {
	Partition int32
	Offset    int64
	Err       error
}

// Out is a message on its way to a topic.
type Out struct {
	Topic string
	kafkabinding.Message
}

// Write publishes messages and returns what became of each, in their order, when all in-sync replicas have them. Messages
// of one key are written in their order; null keys go to any partition. The messages must not be changed meanwhile.
func (c *Client) Write(ctx context.Context, outs ...Out) []Written {
	done := make([]Written, len(outs))
	var acks sync.WaitGroup
	acks.Add(len(outs))
	for i, out := range outs {
		record := &kgo.Record{Topic: out.Topic, Key: out.Key, Value: out.Value, Headers: headers(out.Message)}
		c.Produce(ctx, record, func(r *kgo.Record, err error) {
			done[i] = Written{Partition: r.Partition, Offset: r.Offset, Err: c.explain(out.Topic, err)}
			acks.Done()
		})
	}
	acks.Wait()
	return done
}

func headers(m kafkabinding.Message) []kgo.RecordHeader {
	headers := make([]kgo.RecordHeader, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = kgo.RecordHeader{Key: string(h.Key), Value: h.Value}
	}
	return headers
}

func (c *Client) explain(topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kgo.ErrRecordTimeout):
		return &cluster.UnreachableError{
			Brokers: c.Brokers(),
			Err:     fmt.Errorf("topic %s: no acknowledgement within %s: %w", topic, deliveryTimeout, err),
		}
	}
	return fmt.Errorf("topic %s: %w", topic, err)
}
