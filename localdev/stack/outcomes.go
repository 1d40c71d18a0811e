package stack

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

// maxRecords is how many of the latest records are remembered: more than are in all batches at a time.
const maxRecords = 32 << 10

// Outcomes makes outcomes of what functions log: processes tell nobody but their log what became of a record. What a log
// does not say, such as the type of the event, is taken from the records that the functions were sent. The functions have
// to log at level debug, in JSON. Types of emitted events are known only where a function has but one.
//
// A record of a type that a function does not take is no outcome: behind this door each function is a group of its own, and
// another one takes it. It is one when all functions of its topic have said so, which they do once a minute for a type. The
// methods may be called concurrently.
type Outcomes struct {
	emits map[string][]string
	// readers counts the functions of a topic.
	readers  map[string]int
	observer pipeline.Observer
	log      *slog.Logger

	mu      sync.Mutex
	records map[position]*seen
	ring    []position
	oldest  int
	// refused are the groups that do not take a type.
	refused map[refusal]map[string]bool
}

// refusal is a type that functions of a topic do not take.
type refusal struct{ topic, eventType string }

// maxRefusals bounds the types that are remembered.
const maxRefusals = 1024

type position struct {
	topic     string
	partition int32
	offset    int64
}

// seen is what is remembered of a record: nothing of its data.
type seen struct {
	record pipeline.Record
	event  event.Event
}

// NewOutcomes returns Outcomes that tell observer of the outcomes of these functions, and log of every other line.
func NewOutcomes(specs []function.Spec, observer pipeline.Observer, log *slog.Logger) *Outcomes {
	o := &Outcomes{
		emits: map[string][]string{}, readers: map[string]int{}, observer: observer, log: log,
		records: map[position]*seen{}, refused: map[refusal]map[string]bool{},
	}
	for _, s := range specs {
		o.emits[s.Name] = s.Emits
		o.readers[s.Topic]++
	}
	return o
}

// Event remembers the records of an event. It is for [Options].
func (o *Outcomes) Event(_ *Function, payload []byte) {
	batch, err := msktrigger.Decode(payload)
	if err != nil {
		return // the function says what is wrong
	}
	for _, p := range batch.Partitions {
		for i := range p.Records {
			o.remember(&p.Records[i].Record)
		}
	}
}

// remember notes a record, in the place of the oldest one if there are too many.
func (o *Outcomes) remember(r *pipeline.Record) {
	at := position{r.Topic, r.Partition, r.Offset}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.records[at]; ok {
		return
	}
	s := &seen{record: *r, event: outline(r)}
	s.record.Key = bytes.Clone(r.Key[:min(len(r.Key), maxText)])
	s.record.Value, s.record.Headers = nil, nil
	o.records[at] = s
	if len(o.ring) < maxRecords {
		o.ring = append(o.ring, at)
		return
	}
	delete(o.records, o.ring[o.oldest])
	o.ring[o.oldest] = at
	o.oldest = (o.oldest + 1) % maxRecords
}

// maxText bounds each text that is remembered, in bytes: what is in a topic comes from whoever may write to it.
const maxText = 512

// outline is the event of a record without its data; the zero Event where there is none.
func outline(r *pipeline.Record) event.Event {
	whole, err := text.Decode(r.Message)
	if err != nil {
		return event.Event{}
	}
	e := event.New()
	e.SetID(cut(whole.ID()))
	e.SetType(cut(whole.Type()))
	if subject := whole.Subject(); subject != "" {
		e.SetSubject(cut(subject))
	}
	for _, name := range []string{function.CorrelationID, function.CausationID} {
		if id, ok := whole.Extensions()[name].(string); ok && id != "" {
			e.SetExtension(name, cut(id))
		}
	}
	return e
}

func cut(s string) string { return strings.Clone(s[:min(len(s), maxText)]) }

// Output makes an outcome of a line, or logs it. Metrics are left off. It is for [Options].
func (o *Outcomes) Output(f *Function, line []byte) {
	line = bytes.TrimRight(line, "\r\n")
	switch l, ok := parseOutcome(line); {
	case ok:
		o.outcome(&l)
		if o.log.Enabled(context.Background(), l.level()) {
			o.forward(f, line)
		}
	case len(line) > 0 && !IsMetrics(line):
		o.forward(f, line)
	}
}

func (o *Outcomes) outcome(l *outcomeLine) {
	verdict, ok := verdicts[l.Message]
	if !ok || l.Message == unaccepted && !o.refusedByAll(l) {
		return
	}
	outcome := pipeline.Outcome{
		Function: l.Function, Group: l.Group, Verdict: verdict, Attempt: *l.Attempt, Err: l.err(),
		After: duration(l.After), Took: duration(l.Took), Emitted: o.emitted(l),
	}
	s := o.recall(l)
	outcome.Record, outcome.Event = &s.record, s.event
	o.observer.Observe(&outcome)
}

// refusedByAll notes that a group does not take a type, and tells whether it was the last one of the topic.
func (o *Outcomes) refusedByAll(l *outcomeLine) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := refusal{l.Topic, l.Type}
	if o.refused[at] == nil {
		if len(o.refused) == maxRefusals {
			clear(o.refused)
		}
		o.refused[at] = map[string]bool{}
	}
	o.refused[at][l.Group] = true
	if len(o.refused[at]) < o.readers[l.Topic] {
		return false
	}
	delete(o.refused, at)
	return true
}

// recall returns what is known of a line's record.
func (o *Outcomes) recall(l *outcomeLine) *seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := o.records[position{l.Topic, l.Partition, l.Offset}]; ok {
		return s
	}
	s := &seen{record: pipeline.Record{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset}}
	if l.Event != "" {
		s.event = event.New()
		s.event.SetID(l.Event)
	}
	return s
}

// maxEmitted bounds what is believed of a count.
const maxEmitted = 1000

// emitted stands for the events that a function published, of which a log has the number.
func (o *Outcomes) emitted(l *outcomeLine) []event.Event {
	if l.Emitted <= 0 {
		return nil
	}
	events := make([]event.Event, min(l.Emitted, maxEmitted))
	if types := o.emits[l.Function]; len(types) == 1 {
		for i := range events {
			events[i] = event.New()
			events[i].SetType(types[0])
		}
	}
	return events
}

// forward logs a line under the function's name. One that is not a log's, as of a panic, is a warning.
func (o *Outcomes) forward(f *Function, line []byte) {
	l, err := parseLogged(line)
	if err != nil {
		l = logged{level: slog.LevelWarn, message: "the function's process wrote", attrs: []slog.Attr{slog.String("text", string(line))}}
	}
	if o.log.Enabled(context.Background(), l.level) {
		o.log.LogAttrs(context.Background(), l.level, l.message, append([]slog.Attr{slog.String("process", f.Label)}, l.attrs...)...)
	}
}
