package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/function"
)

// Pipeline takes the records of one consumer group through its functions: decode, route by type, run an attempt, judge
// its error, write the dead letter. It is safe for concurrent use; it keeps no order, that is the lanes' work.
type Pipeline struct {
	group string
	// routes are the functions by topic and by the type that they accept.
	routes    map[string]map[string]*step
	orders    map[string]function.Order
	outputs   map[string]bool
	dead      DeadLetters
	observers []Observer
	waits     Backoff

	transactional bool
}

// step is a function with its middleware around it.
type step struct {
	spec   function.Spec
	handle Handler
	// once is nil where nothing is remembered.
	once Once
}

// Options of a Pipeline. The zero value is the default.
type Options struct {
	// Middleware wraps each function's handler together with the publishing of its events, the first outermost.
	// Default: none.
	Middleware func(function.Spec) []Middleware
	// Once returns what remembers the events that a function has handled, or nil. Default: none is remembered.
	Once func(function.Spec) Once
	// Transactional says that the sink acknowledges when the door commits, after Handle: the door then calls Committed. Once
	// never learns that events were published. Default: the sink returns when they are acknowledged.
	Transactional bool
	// Observers are told of each outcome.
	Observers []Observer
	// Waits is how long a record waits for a dependency that is unavailable, and for a dead letter topic that cannot be
	// written. Default: 100 ms doubling to 5 s.
	Waits Backoff
}

// New returns the pipeline of a consumer group. Two functions of a group must not accept the same type from the same
// topic; each emitted type needs a topic, from Spec.Topics or cloudevents/schemas.
func New(group string, functions []Function, sink Sink, dead DeadLetters, o *Options) (*Pipeline, error) {
	if o == nil {
		o = &Options{}
	}
	p := &Pipeline{
		group:     group,
		routes:    map[string]map[string]*step{},
		orders:    map[string]function.Order{},
		outputs:   map[string]bool{},
		dead:      dead,
		observers: o.Observers,
		waits:     o.Waits,

		transactional: o.Transactional,
	}
	if p.waits == (Backoff{}) {
		p.waits = Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second}
	}
	var problems []error
	for _, f := range functions {
		problems = append(problems, p.add(f, sink, o))
	}
	return p, errors.Join(problems...)
}

func (p *Pipeline) add(f Function, sink Sink, o *Options) error {
	spec, err := f.Spec.Complete()
	if err != nil {
		return err
	}
	topics, err := outputTopics(spec)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		p.outputs[topic] = true
	}
	emit := &emitter{spec: spec, topics: topics, sink: sink, handler: f.Handler}
	if o.Once != nil {
		emit.once, emit.transactional = o.Once(spec), o.Transactional
	}
	s := &step{spec: spec, handle: emit.handle, once: emit.once}
	if o.Middleware != nil {
		for _, m := range slices.Backward(o.Middleware(spec)) {
			s.handle = m(s.handle)
		}
	}
	if order, ok := p.orders[spec.Topic]; !ok || stricter(spec.Order, order) {
		p.orders[spec.Topic] = spec.Order
	}
	if p.routes[spec.Topic] == nil {
		p.routes[spec.Topic] = map[string]*step{}
	}
	for _, t := range f.Handler.Types() {
		if other, taken := p.routes[spec.Topic][t]; taken {
			return fmt.Errorf("functions %s and %s of group %s both accept type %s from topic %s: give one of them a group of its own",
				other.spec.Name, spec.Name, p.group, t, spec.Topic)
		}
		p.routes[spec.Topic][t] = s
	}
	return nil
}

// strictness orders the orders: the strictest of a topic's functions holds for all of them.
var strictness = map[function.Order]int{function.Unordered: 0, function.ByKey: 1, function.ByPartition: 2}

func stricter(a, b function.Order) bool { return strictness[a] > strictness[b] }

// outputTopics finds the topic of each type that the function emits.
func outputTopics(spec function.Spec) (map[string]string, error) {
	topics := map[string]string{}
	for _, t := range spec.Emits {
		if topic, ok := spec.Topics[t]; ok {
			topics[t] = topic
		} else if known, ok := schemas.Lookup(t); ok {
			topics[t] = known.Topic
		} else {
			return nil, fmt.Errorf("function %s emits type %s, which has no topic: name one in Spec.Topics", spec.Name, t)
		}
	}
	return topics, nil
}

// Group returns the consumer group.
func (p *Pipeline) Group() string { return p.group }

// Topics returns the topics that the group reads, sorted.
func (p *Pipeline) Topics() []string { return slices.Sorted(maps.Keys(p.orders)) }

// Outputs returns the topics that the group's functions publish to, sorted.
func (p *Pipeline) Outputs() []string { return slices.Sorted(maps.Keys(p.outputs)) }

// Order returns the order in which records of a topic must be handled: the strictest of its functions'.
func (p *Pipeline) Order(topic string) function.Order { return p.orders[topic] }

// Handle runs one attempt on d. It returns whether the record is finished, so that its offset may be committed: its
// handler succeeded and every event it returned is acknowledged, or its dead letter is, or it was dropped. If it is not
// finished, Handle must be called again for it, no sooner than after again, or the record be left for the next owner.
//
// When ctx ends, a running attempt is given up and not counted.
func (p *Pipeline) Handle(ctx context.Context, d *Delivery) (again time.Duration, finished bool) {
	o := &d.outcome
	*o = Outcome{Group: p.group, Record: &d.Record}
	if d.letter != nil {
		// For the observers: what cannot be decoded has no event.
		o.Event, _ = decode(&d.Record)
		return p.bury(ctx, d, o)
	}
	if d.Started.IsZero() {
		d.Started = time.Now()
	}
	err := p.attempt(ctx, d, o)
	o.Took = time.Since(d.Started)
	d.Started = time.Time{}
	if err != nil && ctx.Err() != nil {
		if o.Function != "" {
			d.Attempts--
		}
		return 0, false
	}
	return p.judge(ctx, d, o, err)
}

// attempt decodes the record and runs the function that accepts it.
func (p *Pipeline) attempt(ctx context.Context, d *Delivery, o *Outcome) error {
	e, err := decode(&d.Record)
	if err != nil {
		return err
	}
	o.Event = e
	s, ok := p.routes[d.Topic][e.Type()]
	if !ok {
		return nil
	}
	o.Function = s.spec.Name
	d.Event, d.Emitted = e, nil
	d.Attempts++
	d.ctx = ctx
	err = s.handle(ctx, d)
	o.Attempt, o.Emitted = d.Attempts, d.Emitted
	d.Event, d.Emitted, d.ctx = event.Event{}, nil, nil
	return err
}

// judge turns the attempt's error into what becomes of the record.
func (p *Pipeline) judge(ctx context.Context, d *Delivery, o *Outcome, err error) (time.Duration, bool) {
	o.Err, o.Verdict = err, function.VerdictOf(err)
	d.blocked = false
	if o.Function == "" && err == nil {
		o.Verdict = function.Dropped
	}
	switch o.Verdict {
	case function.Done, function.Dropped:
		p.finish(o)
		return 0, true
	case function.Broken:
		d.Attempts--
		d.waits++
		o.After = p.waitAfter(d, err)
		if d.blocked {
			o.Attempt, o.Took = 0, 0
		}
	case function.Retry:
		p.failed(d)
		o.After = p.retryAfter(err)
	case function.DeadLetter:
		p.failed(d)
		d.letter = p.failure(d, o)
		return p.bury(ctx, d, o)
	}
	p.observe(o)
	return o.After, false
}

// retryAfter is the wait that the retry middleware, or the handler, asked for.
func (p *Pipeline) retryAfter(err error) time.Duration {
	if after, ok := errors.AsType[*function.RetryAfterError](err); ok {
		return max(after.After, 0)
	}
	return p.waits.First
}

// waitAfter is the wait that a WaitError asked for, or a back-off of its own.
func (p *Pipeline) waitAfter(d *Delivery, err error) time.Duration {
	wait, ok := errors.AsType[*function.WaitError](err)
	if !ok {
		return p.waits.Delay(d.waits)
	}
	d.blocked = wait.Circuit != ""
	if wait.After > 0 {
		return wait.After
	}
	return p.waits.Delay(d.waits)
}

func (p *Pipeline) failed(d *Delivery) {
	d.LastFailure = time.Now()
	d.waits = 0
	if d.FirstFailure.IsZero() {
		d.FirstFailure = d.LastFailure
	}
}

func (p *Pipeline) failure(d *Delivery, o *Outcome) *Failure {
	f := &Failure{
		Record:   &d.Record,
		Function: o.Function,
		Group:    p.group,
		Err:      o.Err,
		Class:    "permanent",
		Attempts: d.Attempts + d.Crashed,
		First:    d.FirstFailure,
		Last:     d.LastFailure,
	}
	if o.Event.Context != nil {
		f.EventID = o.Event.ID()
	}
	if permanent, ok := errors.AsType[*function.PermanentError](o.Err); ok {
		f.Class = permanent.Class
	}
	if panicked, ok := errors.AsType[*function.PanicError](o.Err); ok {
		f.Stack = panicked.Stack
	}
	return f
}

// Lose makes the dead letter of records whose bytes cannot be had: those from d.Record.Offset up to last. err says why. It
// returns what Handle would.
func (p *Pipeline) Lose(ctx context.Context, d *Delivery, last int64, err error) (again time.Duration, finished bool) {
	o := &d.outcome
	*o = Outcome{Group: p.group, Record: &d.Record, Err: err}
	if d.letter == nil {
		p.failed(d)
		d.letter = p.failure(d, o)
		d.letter.Lost, d.letter.LastOffset = true, last
	}
	return p.bury(ctx, d, o)
}

// Refuse makes a dead letter of a record that Handle has finished, because what it led to cannot be published after all:
// its door publishes later. The door must not have finished the record yet.
func (p *Pipeline) Refuse(ctx context.Context, d *Delivery, err error) error {
	o := &d.outcome
	o.Err = output(err)
	p.failed(d)
	d.letter = p.failure(d, o)
	if _, finished := p.bury(ctx, d, o); !finished {
		return o.Err
	}
	return nil
}

// bury writes the dead letter of d. Until it is acknowledged the record is not finished, and its handler is not called
// again.
func (p *Pipeline) bury(ctx context.Context, d *Delivery, o *Outcome) (time.Duration, bool) {
	o.Function, o.Attempt = d.letter.Function, d.letter.Attempts
	if err := p.dead.Write(ctx, *d.letter); err != nil {
		d.waits++
		o.Verdict, o.After = function.Broken, p.waits.Delay(d.waits)
		o.Err = function.Unavailable("dead letter topic", fmt.Errorf("%w; the record failed with: %w", err, d.letter.Err))
		p.observe(o)
		return o.After, false
	}
	o.Verdict, o.Err = function.DeadLetter, d.letter.Err
	d.letter = nil
	if err := p.forget(ctx, d, o); err != nil {
		o.Err = fmt.Errorf("%w; its attempts could not be forgotten, a replay may become a dead letter without a call: %w", o.Err, err)
	}
	p.finish(o)
	return 0, true
}

// forget has what is remembered of the attempts at a dead letter forgotten, so that a replay is tried anew.
func (p *Pipeline) forget(ctx context.Context, d *Delivery, o *Outcome) error {
	s, ok := p.routes[d.Topic][o.Event.Type()]
	if !ok || s.once == nil {
		return nil
	}
	return s.once.Buried(ctx, o.Event)
}

// finish tells of the outcome of a finished record, unless its door does so when it has committed it.
func (p *Pipeline) finish(o *Outcome) {
	if !p.transactional {
		p.observe(o)
	}
}

// Committed tells the observers of a finished record's outcome, where Options.Transactional has put that off.
func (p *Pipeline) Committed(d *Delivery) { p.observe(&d.outcome) }

func (p *Pipeline) observe(o *Outcome) {
	for _, observer := range p.observers {
		observer.Observe(o)
	}
}
