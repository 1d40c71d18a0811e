package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/localdev/records"
	"github.com/millrace/millrace/localdev/text"
)

// maxShownProblems bounds the list of what is wrong with an input.
const maxShownProblems = 20

// publishBatch is how many events are sent before their outcomes are waited for and printed.
const publishBatch = 500

// publish is the command that publishes.
type publish struct {
	*app

	kafka      kafkaFlag
	topic      string
	noValidate bool
	keepGoing  bool
	json       bool
	raw        bool
	key        string
	keyed      bool // --key was given; it may be empty, which is not null
	headers    []string
}

func (a *app) publishCommand() *cobra.Command {
	p := &publish{app: a}
	cmd := &cobra.Command{
		Use:   "publish [FILE|-]",
		Short: "Publish events from a file or from standard input",
		Long: "Publish CloudEvents in JSON, or the JSON envelope, each to the topic of its type: one, several after each other,\n" +
			"one per line, or an array of them. CloudEvents are written in binary mode, envelopes as they are. The record's key\n" +
			"is the partitionkey, else the subject (of an envelope: its aggregateId).\n\n" +
			"Everything is checked first, the data against the schema of its type: if something is wrong, nothing is sent.\n" +
			"An input may have 64 MiB, an event 1 MiB.",
		Example: "  millrace publish order.json\n" +
			"  cat orders.ndjson | millrace publish --keep-going\n" +
			"  millrace publish --topic audit-events event.json\n" +
			"  printf garbage | millrace publish --raw --topic order-events --key order-1 --header trace=abc",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.keyed = cmd.Flags().Changed("key")
			return p.run(cmd.Context(), args)
		},
	}
	p.kafka.register(cmd.Flags())
	cmd.Flags().StringVar(&p.topic, "topic", "", "publish there (default: the topic of each event's type)")
	cmd.Flags().BoolVar(&p.noValidate, "no-validate", false, "do not check data against the schema of its type")
	cmd.Flags().BoolVar(&p.keepGoing, "keep-going", false, "publish what is right although something else is wrong")
	cmd.Flags().BoolVar(&p.json, "json", false, "print a JSON object per event and line")
	cmd.Flags().BoolVar(&p.raw, "raw", false, "publish the input as it is, as the value of one record; needs --topic")
	cmd.Flags().StringVar(&p.key, "key", "", "with --raw: the record's key (default: null)")
	cmd.Flags().StringArrayVar(&p.headers, "header", nil, "with --raw: a header name=value of the record; may be repeated")
	return cmd
}

func (p *publish) check() error {
	switch {
	case p.raw && p.topic == "":
		return errors.New("--raw needs --topic: bytes do not tell where they belong")
	case !p.raw && (p.keyed || len(p.headers) > 0):
		return errors.New("--key and --header are for --raw: an event brings its own")
	}
	for _, h := range p.headers {
		if name, _, found := strings.Cut(h, "="); !found || name == "" {
			return fmt.Errorf("--header is %q, must be name=value", h)
		}
	}
	return nil
}

func (p *publish) run(ctx context.Context, args []string) error {
	if err := p.check(); err != nil {
		return &usageError{err}
	}
	name, input, err := p.readInput(ctx, args)
	if err != nil {
		return err
	}
	n := &publication{publish: p, name: name}
	if p.raw {
		return n.sendRaw(ctx, input)
	}
	if err := n.inspect(input); err != nil {
		return err
	}
	return n.send(ctx, input)
}

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
	var lines []byte
	var failed error
	for i, w := range p.client.Write(ctx, outs...) {
		if w.Err != nil {
			failed = w.Err
			p.problems.add(batch[i].fail(w.Err))
			continue
		}
		p.sent++
		var err error
		if lines, err = p.appendLine(lines, batch[i], w); err != nil {
			return err
		}
	}
	if _, err := p.stdout.Write(lines); err != nil {
		return fmt.Errorf("print what was published: %w", err)
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

func (p *publication) appendLine(lines []byte, o *outgoing, w records.Written) ([]byte, error) {
	if p.json {
		return text.AppendJSONLine(lines, publishedJSON{o.topic, w.Partition, w.Offset, o.message.Key, o.id, o.eventType})
	}
	lines = fmt.Appendf(lines, "%s  %d@%d", o.topic, w.Partition, w.Offset)
	if o.id != "" {
		lines = text.AppendEscaped(append(lines, "  "...), text.ShortType(o.eventType))
		lines = text.AppendEscaped(append(lines, "  "...), o.id)
	}
	return append(lines, '\n'), nil
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
