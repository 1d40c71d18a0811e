package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// deadLetterTimeout bounds the writing of a dead letter, which goes on when the caller's context has ended.
const deadLetterTimeout = 5 * time.Second

// Publisher publishes the events of a program that is not a function: an HTTP service, a job. Its methods may be called
// concurrently.
type Publisher struct {
	sink        *Sink
	deadLetters pipeline.DeadLetters
	source      string
}

// NewPublisher returns a Publisher that writes to sink and keeps what fails in deadLetters. source is the source of
// events that have none: "/order-service".
func NewPublisher(sink *Sink, deadLetters pipeline.DeadLetters, source string) *Publisher {
	return &Publisher{sink: sink, deadLetters: deadLetters, source: source}
}

// Publish publishes events to topic and returns nil when all in-sync replicas have every one. An event without an id
// gets a random one, one without a time the present, one without a source the Publisher's; the caller's are not changed.
//
// An event that could not be published goes to the dead letters, with topic as its original topic and without partition
// and offset (-1), and the error is returned as well; where writing the dead letter fails too, both errors are joined.
// A caller who tries again after an error may publish an event twice: give it an id, by which readers can tell.
func (p *Publisher) Publish(ctx context.Context, topic string, events ...event.Event) error {
	outs := make([]pipeline.Output, len(events))
	for i, e := range events {
		outs[i] = pipeline.Output{Topic: topic, Event: p.complete(e)}
	}
	first := time.Now()
	errs := p.sink.SendEach(ctx, outs...)
	for i, err := range errs {
		if err != nil {
			errs[i] = errors.Join(err, p.bury(ctx, outs[i], err, first))
		}
	}
	return errors.Join(errs...)
}

// complete returns e with the attributes that it lacks.
func (p *Publisher) complete(e event.Event) event.Event {
	if e.Context == nil || (e.ID() != "" && e.Source() != "" && !e.Time().IsZero()) {
		return e
	}
	e = e.Clone()
	if e.ID() == "" {
		e.SetID(uuid.NewString())
	}
	if e.Source() == "" {
		e.SetSource(p.source)
	}
	if e.Time().IsZero() {
		e.SetTime(time.Now().UTC())
	}
	return e
}

// bury writes the dead letter of an event that was not published because of cause.
func (p *Publisher) bury(ctx context.Context, out pipeline.Output, cause error, first time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadLetterTimeout)
	defer cancel()
	m, err := p.sink.options.Format.encoder()(out.Event)
	if err != nil {
		// What cannot be written as an event is kept as the data that it holds.
		key, _ := kafkabinding.PartitionKey(out.Event)
		m = kafkabinding.Message{Key: key, Value: out.Event.Data()}
	}
	now := time.Now()
	failure := pipeline.Failure{
		Record:  &pipeline.Record{Topic: out.Topic, Partition: -1, Offset: -1, Timestamp: now, Message: m},
		EventID: out.Event.ID(),
		Err:     cause,
		Class:   class(cause),
		First:   first,
		Last:    now,
	}
	if err := p.deadLetters.Write(ctx, failure); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
}

// classUnavailable is the error class of an event that the cluster did not take: publishing it again is enough.
const classUnavailable = "unavailable"

// class is the kind of failure that a dead letter names.
func class(err error) string {
	if permanent, ok := errors.AsType[*function.PermanentError](err); ok {
		return permanent.Class
	}
	if _, ok := errors.AsType[*function.UnavailableError](err); ok {
		return classUnavailable
	}
	return function.ClassOutput
}
