package boot

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/pipeline"
)

// printer stands in for Kafka where there is none: it prints what would be published, one line of JSON each. It is a
// pipeline.Sink and a deadletter.Producer.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

// printed is a line.
type printed struct {
	Topic string `json:"topic"`
	// Event is an event in CloudEvents JSON.
	Event *event.Event `json:"event,omitzero"`
	// DeadLetter is a dead letter as deadletter.Letter shows it.
	DeadLetter *deadletter.Letter `json:"deadLetter,omitzero"`
}

// Send prints events.
func (p *printer) Send(_ context.Context, outs ...pipeline.Output) error {
	for i := range outs {
		if err := p.print(printed{Topic: outs[i].Topic, Event: &outs[i].Event}); err != nil {
			return fmt.Errorf("print event %s: %w", outs[i].Event.ID(), err)
		}
	}
	return nil
}

// publish is a function.Publish that prints.
func (p *printer) publish(ctx context.Context, topic string, events ...event.Event) []error {
	if err := p.Send(ctx, outputs(topic, events)...); err != nil {
		return slices.Repeat([]error{err}, len(events))
	}
	return nil
}

// Produce prints a dead letter.
func (p *printer) Produce(_ context.Context, topic string, m kafkabinding.Message, _ time.Time) error {
	letter, err := deadletter.Parse(m)
	if err != nil {
		return err
	}
	return p.print(printed{Topic: topic, DeadLetter: &letter})
}

func (p *printer) print(line printed) error {
	text, err := json.Marshal(line, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.out.Write(append(text, '\n'))
	return err
}
