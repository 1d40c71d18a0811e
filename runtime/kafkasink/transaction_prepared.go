package kafkasink

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Prepared is a record that is encoded and small enough to be published. It is a value that never changes: it may be
// committed again after a transaction failed, and used from any goroutine. Its bytes are not copied and must not be
// changed.
type Prepared struct {
	topic     string
	event     string
	message   kafkabinding.Message
	timestamp time.Time
	size      int
}

// Topic returns the topic that the record goes to.
func (p *Prepared) Topic() string { return p.topic }

// Size returns the bytes that the record counts against the limit of a batch.
func (p *Prepared) Size() int { return p.size }

// subject names the record in errors.
func (p *Prepared) subject() string { return subject(p.topic, p.event) }

// Prepare encodes an event as [Sink.Send] would, with the same error where it cannot be encoded or is too large:
// permanent, of class "output". It may be called concurrently, also with Commit.
func (t *Transactor) Prepare(out pipeline.Output) (Prepared, error) {
	m, err := t.options.message(&out)
	if err != nil {
		return Prepared{}, err
	}
	p := Prepared{topic: out.Topic, event: out.Event.ID(), message: m, size: sizeOf(m)}
	return p, p.fits(t.options.MaxEventBytes)
}

// PrepareRecord takes a record as it is, as [Sink.Produce] would. A zero timestamp is the time of the transaction. It
// may be called concurrently, also with Commit.
func (t *Transactor) PrepareRecord(topic string, m kafkabinding.Message, timestamp time.Time) (Prepared, error) {
	p := Prepared{topic: topic, message: m, timestamp: timestamp, size: sizeOf(m)}
	if !timestamp.IsZero() && timestamp.UnixMilli() < 0 {
		return Prepared{}, invalid(p.subject(), fmt.Errorf("its timestamp %s is before 1970", timestamp.UTC().Format(time.RFC3339)))
	}
	return p, p.fits(t.options.MaxRawBytes)
}

// fits returns an error for a record that no batch has room for.
func (p *Prepared) fits(limit int) error {
	if p.size > limit {
		return tooLarge(p.subject(), p.size, limit)
	}
	return nil
}
