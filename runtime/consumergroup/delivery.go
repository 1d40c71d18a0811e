package consumergroup

import (
	"sync"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/frontier"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
)

// delivery is a record in flight. It is small, for thousands of them wait in the lanes, and each is allocated by itself:
// cut from a common piece of memory, one that waits would keep all of it.
type delivery struct {
	// message is what sarama received, until the first attempt.
	message *sarama.ConsumerMessage
	// lost is set where the bytes of the message, which is the last of its batch, cannot be had.
	lost *kafkaclient.LostError
	// opened is there from the first attempt to the last.
	opened *opened
	mark   *frontier.Mark
	// failures is the claim's count of failed attempts as of this record's last.
	failures uint64
	// blocked says that the record waits for an open circuit.
	blocked bool
	// size is about what the record holds in memory, in bytes.
	size int64
}

// opened is a record that is being attempted, or that waits for another attempt.
type opened struct {
	pipeline.Delivery

	// staged is what the last attempt wants to be committed with the record's offset.
	staged []kafkasink.Prepared
	// headers is the memory of the record's headers.
	headers []kafkabinding.Header
}

// recycled are opened records for reuse. A worker mostly gets the one back that it used for the record before.
var recycled = sync.Pool{New: func() any { return &opened{} }}

// headerSize is what a header holds beside its text, and about what a short one has of that.
const headerSize = 96

func newDelivery(m *sarama.ConsumerMessage, mark *frontier.Mark) *delivery {
	return &delivery{
		message: m,
		mark:    mark,
		size:    int64(len(m.Key) + len(m.Value) + headerSize*len(m.Headers)),
	}
}

// open converts the message, once. It is left to the workers: the goroutine that reads a partition is what its speed
// hangs on.
func (d *delivery) open() *pipeline.Delivery {
	if d.opened != nil {
		return &d.opened.Delivery
	}
	m, o := d.message, recycled.Get().(*opened)
	if d.lost != nil {
		o.Record = pipeline.Record{Topic: d.lost.Topic, Partition: d.lost.Partition, Offset: d.lost.First, Timestamp: d.lost.Timestamp}
		d.message, d.opened = nil, o
		return &o.Delivery
	}
	for _, h := range m.Headers {
		o.headers = append(o.headers, kafkabinding.Header(*h))
	}
	o.Record = pipeline.Record{
		Topic:     m.Topic,
		Partition: m.Partition,
		Offset:    m.Offset,
		Timestamp: m.Timestamp,
		Message:   kafkabinding.Message{Key: m.Key, Value: m.Value, Headers: o.headers},
	}
	o.Attempts, o.FirstFailure = d.mark.Attempts()
	o.LastFailure, o.Suspected = o.FirstFailure, d.mark.Suspected()
	d.message, d.opened = nil, o
	return &o.Delivery
}

// failed tells whether an attempt failed, here or before the partition came here.
func (d *delivery) failed() bool {
	attempts, _ := d.mark.Attempts()
	return attempts > 0
}

// park gives up what the record borrowed from the client.
func (d *delivery) park() { d.open().Park() }

// release gives back what the attempts used. Nobody may hold it, or its headers, any more.
func (d *delivery) release() {
	o := d.opened
	d.opened = nil
	clear(o.headers)
	*o = opened{headers: o.headers[:0]}
	recycled.Put(o)
}
