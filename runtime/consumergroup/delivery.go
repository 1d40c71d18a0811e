package consumergroup

import (
	"sync"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/frontier"
	"github.com/millrace/millrace/runtime/pipeline"
)

// delivery is a record in flight. Deliveries are recycled one by one: cut from a common piece of memory, one that waits
// would keep all of it.
type delivery struct {
	pipeline.Delivery

	// message is what sarama received, until it is opened.
	message *sarama.ConsumerMessage
	mark    *frontier.Mark
	// size is about what the record holds in memory, in bytes.
	size int64
	// headers is the memory of the record's headers.
	headers []kafkabinding.Header
}

var deliveries = sync.Pool{New: func() any { return &delivery{} }}

// headerSize is what a header holds beside its text, and about what a short one has of that.
const headerSize = 96

func newDelivery(m *sarama.ConsumerMessage, mark *frontier.Mark) *delivery {
	d := deliveries.Get().(*delivery)
	d.message, d.mark = m, mark
	d.size = int64(len(m.Key) + len(m.Value) + headerSize*len(m.Headers))
	return d
}

// open converts the message, once. It is left to the workers: the goroutine that reads a partition is what its speed
// hangs on.
func (d *delivery) open() {
	m := d.message
	if m == nil {
		return
	}
	for _, h := range m.Headers {
		d.headers = append(d.headers, kafkabinding.Header{Key: h.Key, Value: h.Value})
	}
	d.Record = pipeline.Record{
		Topic:     m.Topic,
		Partition: m.Partition,
		Offset:    m.Offset,
		Timestamp: m.Timestamp,
		Message:   kafkabinding.Message{Key: m.Key, Value: m.Value, Headers: d.headers},
	}
	d.message = nil
}

// park gives up what the record borrowed from the client.
func (d *delivery) park() {
	d.open()
	d.Park()
}

// release gives d back. Nobody may hold it, or its headers, any more.
func (d *delivery) release() {
	clear(d.headers)
	*d = delivery{headers: d.headers[:0]}
	deliveries.Put(d)
}
