package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/localdev/records"
	"github.com/millrace/millrace/localdev/text"
)

// publishBatch is how many events are sent before their outcomes are waited for and printed.
const publishBatch = 500

// publication is an input on its way.
type publication struct {
	*publish
	name   string // of the input, for errors
	client *records.Client
	topics []string

	events   int // all of the input
	problems problems
	sent     int
}

// inspect checks every event before anything is sent.
func (p *publication) inspect(input []byte) error {
	seen := map[string]bool{}
	for e, err := range text.Events(input) {
		p.events++
		topic, err := p.judge(e, err)
		if err != nil {
			p.problems.add(err)
			continue
		}
		if !seen[topic] {
			seen[topic] = true
			p.topics = append(p.topics, topic)
		}
	}
	switch good := p.events - p.problems.count; {
	case p.events == 0:
		return &hinted{err: fmt.Errorf("%s holds no events", p.name), try: "millrace publish --help"}
	case p.problems.count == 0:
		return nil
	case good == 0:
		return &hinted{
			err: p.problems.failed("%s: no event can be published, nothing was sent", p.name),
			try: "millrace publish --help",
		}
	case !p.keepGoing:
		return &hinted{
			err: p.problems.failed("%s: %d of %d events cannot be published, nothing was sent", p.name, p.problems.count, p.events),
			try: "correct them, or publish the others with --keep-going",
		}
	}
	return nil
}

// judge returns where an event goes, or what is wrong with it.
func (p *publication) judge(e *text.Event, err error) (topic string, _ error) {
	if err != nil {
		return "", err
	}
	known, found := schemas.Lookup(e.Type())
	topic = p.topic
	if topic == "" {
		if !found {
			return "", e.Fail(fmt.Errorf("type %q is not in the catalogue: --topic says where to publish it", e.Type()))
		}
		topic = known.Topic
	}
	if p.noValidate {
		return topic, nil
	}
	if err := schemas.Validate(e.Type(), e.Data()); err != nil {
		return "", e.Fail(err)
	}
	return topic, nil
}

// connect opens the client and looks for the topics, so that nothing is sent where one of them is missing.
func (p *publication) connect(ctx context.Context, topics ...string) error {
	kafka, err := p.kafka.config(p.lookup)
	if err != nil {
		return err
	}
	if p.client, err = records.Connect(ctx, kafka); err != nil {
		return err
	}
	for _, topic := range topics {
		if err := p.client.CheckTopic(ctx, topic); err != nil {
			p.client.Close()
			return err
		}
	}
	return nil
}

func (p *publication) send(ctx context.Context, input []byte) error {
	if err := p.connect(ctx, p.topics...); err != nil {
		return err
	}
	defer p.client.Close()
	var batch []*outgoing
	for e, err := range text.Events(input) {
		topic, err := p.judge(e, err)
		if err != nil {
			continue // counted by inspect
		}
		batch = append(batch, &outgoing{topic: topic, message: e.Message, id: e.ID(), eventType: e.Type(), fail: e.Fail})
		if len(batch) < publishBatch {
			continue
		}
		if err := p.write(ctx, batch); err != nil {
			return p.outcome(err)
		}
		batch = batch[:0]
	}
	return p.outcome(p.write(ctx, batch))
}

func (p *publication) sendRaw(ctx context.Context, input []byte) error {
	if err := p.connect(ctx, p.topic); err != nil {
		return err
	}
	defer p.client.Close()
	m := kafkabinding.Message{Value: input}
	if p.keyed {
		m.Key = []byte(p.key)
	}
	for _, h := range p.headers {
		name, value, _ := strings.Cut(h, "=")
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(name), Value: []byte(value)})
	}
	p.events = 1
	return p.outcome(p.write(ctx, []*outgoing{{topic: p.topic, message: m, fail: func(err error) error { return err }}}))
}

// outgoing is one record on its way.
type outgoing struct {
	topic         string
	message       kafkabinding.Message
	id, eventType string // empty for raw bytes
	fail          func(error) error
}

// write sends a batch and prints what was acknowledged. It returns the last failure, if it is not one to go on after.
func (p *publication) write(ctx context.Context, batch []*outgoing) error {
	outs := make([]records.Out, len(batch))
	for i, o := range batch {
		outs[i] = records.Out{Topic: o.topic, Message: o.message}
	}
	written := p.client.Write(ctx, outs...)
	var failed error
	for i, o := range batch {
		if written[i].Err == nil {
			p.sent++
			continue
		}
		failed = written[i].Err
		p.problems.add(o.fail(failed))
	}
	if err := p.print(batch, written); err != nil {
		err = fmt.Errorf("print what was published: %w", err)
		p.problems.add(err)
		return err
	}
	if p.keepGoing && ctx.Err() == nil && !isUnreachable(failed) {
		return nil
	}
	return failed
}

type publishedJSON struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	Key       text.Bytes `json:"key"`
	ID        string     `json:"id,omitzero"`
	Type      string     `json:"type,omitzero"`
}

// print shows what was acknowledged.
func (p *publication) print(batch []*outgoing, written []records.Written) error {
	var lines []byte
	for i, o := range batch {
		w := written[i]
		switch {
		case w.Err != nil:
		case p.json:
			var err error
			lines, err = text.AppendJSONLine(lines, publishedJSON{o.topic, w.Partition, w.Offset, o.message.Key, o.id, o.eventType})
			if err != nil {
				return err
			}
		default:
			lines = o.appendLine(lines, w)
		}
	}
	_, err := p.stdout.Write(lines)
	return err
}

func (o *outgoing) appendLine(line []byte, w records.Written) []byte {
	line = fmt.Appendf(line, "%s  %d@%d", o.topic, w.Partition, w.Offset)
	if o.id != "" {
		line = text.AppendEscaped(append(line, "  "...), text.ShortType(o.eventType))
		line = text.AppendEscaped(append(line, "  "...), o.id)
	}
	return append(line, '\n')
}

// outcome says how it ended: err is what stopped the sending.
func (p *publication) outcome(err error) error {
	switch {
	case p.problems.count == 0 && err == nil:
		return nil
	case p.sent == 0 && err != nil:
		return err
	}
	code := exitPartly
	if p.sent == 0 {
		code = exitFailed
	}
	return &hinted{
		code: code,
		err:  p.problems.failed("%s: %d of %d events were published", p.name, p.sent, p.events),
		try:  "correct the others and publish them alone: what is published twice is handled twice, unless its id says so",
	}
}
