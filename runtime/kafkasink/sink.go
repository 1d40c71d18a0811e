package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Dependency is the name of the cluster in [function.Unavailable], metrics and circuit breakers.
const Dependency = "kafka"

// errSlow says that a caller's context would have let it wait longer.
var errSlow = fmt.Errorf("no acknowledgement within %s", deliveryTimeout)

// ErrClosed says that a Sink was used after Close.
var ErrClosed = errors.New("kafkasink: the sink is closed")

// Sink publishes events and records. Its methods may be called concurrently.
//
// What a failed event or record means is told by the error, in the words of [function.VerdictOf]:
//
//	function.Unavailable            the cluster cannot be reached, is short of replicas, elects a leader or did not
//	                                answer in time; also a sink that is closed and a context that ended
//	permanent, class "output"       the event cannot be encoded, the record is too large or refused as invalid
//	any other                       the topic does not exist, or may not be written to
//
// An error names the topic and the event's id.
//
// Bytes that were handed over are not copied. They must not be changed until the outcome is known: never, where a call
// was given up because its context ended, for the record may still be on its way, and may still be published.
type Sink struct {
	brokers    []string
	options    Options
	bulk       *producer
	single     lazyProducer
	impatience impatience
	health     health
	failures   failures
	close      func() error
}

// Open connects to the cluster as clientID and returns a Sink. It fails within 5 s, with an error that says what to do,
// when no broker answers. nil options are the defaults.
func Open(c kafkaclient.Config, clientID string, o *Options) (*Sink, error) {
	options, err := o.complete()
	if err != nil {
		return nil, err
	}
	s := &Sink{brokers: c.Brokers, options: options}
	s.bulk, err = open(c, clientID, options.configureBulk, s.settle)
	if err != nil {
		return nil, err
	}
	s.single.open = func() (*producer, error) { return open(c, clientID, options.configureSingle, s.settle) }
	s.health.client = s.bulk.client
	s.close = sync.OnceValue(func() error {
		// In this order: what the bulk producer cannot send may go through the other, and a probe needs the client.
		s.health.close()
		return errors.Join(s.bulk.close(), s.single.close())
	})
	return s, nil
}

// Send publishes outs and returns nil when all in-sync replicas have every one of them. Where some fail, the others are
// published nevertheless, and the error joins those of the failed ones; but when one cannot be encoded none is sent.
//
// The record's key is the event's partitionkey extension, null where there is none. Events of one key are published in
// the order of outs.
//
// When ctx ends first, or no outcome comes within 30 s, Send returns; what was handed over may still be published.
func (s *Sink) Send(ctx context.Context, outs ...pipeline.Output) error {
	b := newBatch(len(outs))
	deliveries := make([]*delivery, len(outs))
	var problems []error
	for i := range outs {
		var err error
		if deliveries[i], err = s.prepare(&outs[i], b, i); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return errors.Join(s.await(ctx, b, deliveries)...)
}

// SendEach is [Sink.Send] with an error for each of outs, nil for those that are published. One that cannot be encoded does not
// keep the others back.
func (s *Sink) SendEach(ctx context.Context, outs ...pipeline.Output) []error {
	b := newBatch(len(outs))
	deliveries := make([]*delivery, 0, len(outs))
	for i := range outs {
		d, err := s.prepare(&outs[i], b, i)
		if err != nil {
			b.delivered(i, err)
			continue
		}
		deliveries = append(deliveries, d)
	}
	return s.await(ctx, b, deliveries)
}

// SendAsync hands one event over and returns; done is called with the outcome, as [Sink.Send] would return it, once and
// from a goroutine of the Sink, which waits for it: done must not block, and must not call the Sink. SendAsync blocks
// while the producer's buffers are full, at most 30 s. When it returns an error, the event was not handed over and done is not called.
func (s *Sink) SendAsync(ctx context.Context, out pipeline.Output, done func(error)) error {
	d, err := s.prepare(&out, callback(done), 0)
	if err != nil {
		return err
	}
	w := s.impatience.begin(ctx)
	defer w.end()
	return s.hand(&w, d)
}

// Produce publishes a record as it is: key, value and header values may be null, which differs from empty. A zero
// timestamp is the time of sending. It returns nil when all in-sync replicas have the record; for errors and ctx see
// [Sink.Send].
func (s *Sink) Produce(ctx context.Context, topic string, m kafkabinding.Message, timestamp time.Time) error {
	return s.produce(ctx, newDelivery(topic, m, timestamp), s.options.MaxRawBytes)
}

// produce publishes a record of at most limit bytes.
func (s *Sink) produce(ctx context.Context, d *delivery, limit int) error {
	if d.size > limit {
		return tooLarge(d.subject(), d.size, limit)
	}
	b := newBatch(1)
	d.to = b
	return s.await(ctx, b, []*delivery{d})[0]
}

// Close publishes what was handed over, waits for the outcomes and disconnects. What the cluster does not acknowledge
// within 5 s is given up: Close returns an error, and those records fail a little later, though they may have been
// published. Later calls wait as well and return the same.
func (s *Sink) Close() error { return s.close() }

// Connected tells whether the cluster took the last record, or answered since. It does not block: while the answer is
// no, each call, at most one a second, has the cluster asked in the background.
func (s *Sink) Connected() bool { return s.health.connected() }

// prepare encodes an event.
func (s *Sink) prepare(out *pipeline.Output, to receiver, index int) (*delivery, error) {
	m, err := s.options.message(out)
	if err != nil {
		return nil, err
	}
	d := newDelivery(out.Topic, m, time.Time{})
	d.event, d.to, d.index = out.Event.ID(), to, index
	if d.size > s.options.MaxEventBytes {
		return nil, tooLarge(d.subject(), d.size, s.options.MaxEventBytes)
	}
	return d, nil
}

// await hands deliveries over and waits for the outcome of all of b, or for the end of ctx.
func (s *Sink) await(ctx context.Context, b *batch, deliveries []*delivery) []error {
	w := s.impatience.begin(ctx)
	defer w.end()
	for _, d := range deliveries {
		if err := s.hand(&w, d); err != nil {
			b.delivered(d.index, err)
		}
	}
	select {
	case <-b.done:
		return b.errs
	case <-w.over:
	}
	select {
	case <-b.done:
		return b.errs
	case <-w.listen().Done():
		return s.abandon(b, deliveries, context.Cause(w.ctx))
	}
}

// abandon returns the outcomes so far.
func (s *Sink) abandon(b *batch, deliveries []*delivery, cause error) []error {
	errs := b.abandon(deliveries, cause)
	if errors.Is(cause, errSlow) {
		for _, d := range deliveries {
			s.health.observe(d.record.Topic, errs[d.index])
		}
	}
	return errs
}

// hand gives d to a producer that has room for it.
func (s *Sink) hand(w *waiting, d *delivery) error {
	var err error
	if d.alone = d.alone || d.size > s.options.MaxEventBytes; d.alone {
		err = s.single.enqueue(w, &d.record)
	} else {
		err = s.bulk.enqueue(w, &d.record)
	}
	if err != nil {
		return function.Unavailable(Dependency, fmt.Errorf("%s: %w", d.subject(), err))
	}
	return nil
}

// handAlone is hand for a record whose caller cannot wait.
func (s *Sink) handAlone(d *delivery) error {
	w := s.impatience.begin(context.Background())
	defer w.end()
	return s.hand(&w, d)
}

// settle receives the outcome of each record that a producer was given.
func (s *Sink) settle(m *sarama.ProducerMessage, err error) {
	d := m.Metadata.(*delivery)
	if !d.alone && errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		// The broker means the batch, where a topic's limit is below ours. A record is too large when it is so alone.
		d.alone = true
		if err = s.handAlone(d); err == nil {
			return
		}
	} else if err != nil {
		err = classify(d.subject(), m.Topic, s.brokers, s.failures.explain(m.Topic, err))
	}
	s.health.observe(m.Topic, err)
	d.to.delivered(d.index, err)
}
