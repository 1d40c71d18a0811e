package msktrigger_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	topic     = "orders"
	placed    = "dev.millrace.test.placed.v1"
	confirmed = "dev.millrace.test.confirmed.v1"
)

// step is what the handler does in one call. The zero step succeeds at once.
type step struct {
	err   error
	panic bool
	// takes is how long it works, deaf that it pays no heed to its context meanwhile.
	takes time.Duration
	deaf  bool
	// emits is how long the event that it returns takes to be acknowledged, 0: it returns none.
	emits time.Duration
}

// record is a record of a batch, and what happens when it is handled. After its steps it succeeds.
type record struct {
	partition int
	offset    int64
	key       string // "-": null
	steps     []step
	poison    bool
}

func (r *record) id() string { return fmt.Sprintf("%s-%d@%d", topic, r.partition, r.offset) }

// call is a call of the handler.
type call struct {
	id         string
	start, end time.Time
}

// world is a pipeline of one function, with what it did. It is used inside of a synctest bubble.
type world struct {
	spec     function.Spec
	circuits *breaker.Set

	mu    sync.Mutex
	steps map[string][]step
	deeds deeds
	// writes are errors of the dead letter topic, one for each write, and nil after.
	writes []error
}

// deeds are what was done. Whoever looks at them while handlers run takes a copy.
type deeds struct {
	calls    []*call
	sent     []string
	letters  []pipeline.Failure
	outcomes map[string][]outcome
}

// look returns what was done so far.
func (w *world) look() *deeds {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &deeds{sent: slices.Clone(w.deeds.sent), letters: slices.Clone(w.deeds.letters), outcomes: map[string][]outcome{}}
	for _, c := range w.deeds.calls {
		kept := *c
		d.calls = append(d.calls, &kept)
	}
	for id, all := range w.deeds.outcomes {
		d.outcomes[id] = slices.Clone(all)
	}
	return d
}

// finished tells whether a record is done with.
func (d *deeds) finished(id string) bool {
	return slices.ContainsFunc(d.outcomes[id], func(o outcome) bool {
		return o.verdict == function.Done || o.verdict == function.DeadLetter || o.verdict == function.Dropped
	})
}

// callsOf returns the calls for a record.
func (d *deeds) callsOf(id string) []*call {
	var calls []*call
	for _, c := range d.calls {
		if c.id == id {
			calls = append(calls, c)
		}
	}
	return calls
}

// outcome is a verdict, with what was to follow.
type outcome struct {
	verdict function.Verdict
	at      time.Time
	after   time.Duration
}

func newWorld(records ...record) *world {
	w := &world{
		spec: function.Spec{
			Name: "test", Topic: topic, Emits: []string{confirmed}, Topics: map[string]string{confirmed: "confirmations"},
			Timeout: time.Minute, Attempts: 3,
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") },
		},
		steps: map[string][]step{},
		deeds: deeds{outcomes: map[string][]outcome{}},
	}
	for _, r := range records {
		w.steps[r.id()] = r.steps
	}
	return w
}

func (w *world) pipeline(tb testing.TB) *pipeline.Pipeline {
	tb.Helper()
	backoff := pipeline.Backoff{First: time.Second, Max: time.Minute}
	wrap := middleware.Standard(backoff)
	if w.circuits != nil {
		wrap = middleware.WithCircuits(w.circuits, backoff)
	}
	p, err := pipeline.New("group", []pipeline.Function{{Spec: w.spec, Handler: function.Raw(w.handle, placed)}}, w, w,
		&pipeline.Options{Middleware: wrap, Observers: []pipeline.Observer{w}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// handle makes the next step of an event.
func (w *world) handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	w.mu.Lock()
	c := &call{id: e.ID(), start: time.Now()}
	w.deeds.calls = append(w.deeds.calls, c)
	var s step
	if left := w.steps[c.id]; len(left) > 0 {
		s, w.steps[c.id] = left[0], left[1:]
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		c.end = time.Now()
		w.mu.Unlock()
	}()
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	if s.panic {
		panic("boom")
	}
	if s.err != nil || s.emits == 0 {
		return nil, s.err
	}
	return []event.Event{confirmation(s.emits)}, nil
}

func (s *step) work(ctx context.Context) error {
	if s.deaf {
		ctx = context.Background()
	}
	select {
	case <-time.After(s.takes):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func confirmation(takes time.Duration) event.Event {
	e := event.New()
	e.SetType(confirmed)
	e.SetSubject(takes.String())
	return e
}

// Send acknowledges an event when its time has come.
func (w *world) Send(ctx context.Context, outputs ...pipeline.Output) error {
	for _, o := range outputs {
		takes, err := time.ParseDuration(o.Event.Subject())
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.deeds.sent = append(w.deeds.sent, o.Event.ID())
		w.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return function.Unavailable("kafka", context.Cause(ctx))
		}
	}
	return nil
}

func (w *world) Write(_ context.Context, f pipeline.Failure) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.writes) > 0 {
		err := w.writes[0]
		w.writes = w.writes[1:]
		if err != nil {
			return err
		}
	}
	kept := *f.Record
	f.Record = &kept
	w.deeds.letters = append(w.deeds.letters, f)
	return nil
}

func (w *world) Observe(o *pipeline.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := fmt.Sprintf("%s-%d@%d", o.Record.Topic, o.Record.Partition, o.Record.Offset)
	w.deeds.outcomes[id] = append(w.deeds.outcomes[id], outcome{o.Verdict, time.Now(), o.After})
}

// payload is the event that hands records over.
func payload(records ...record) []byte {
	lists := map[string][]string{}
	for _, r := range records {
		key, value := "null", base64.StdEncoding.EncodeToString([]byte("{}"))
		if r.key != "-" {
			key = fmt.Sprintf("%q", base64.StdEncoding.EncodeToString([]byte(r.key)))
		}
		if r.poison {
			value = "!"
		}
		name := fmt.Sprintf("%s-%d", topic, r.partition)
		lists[name] = append(lists[name], fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d,"key":%s,"value":%q,"headers":[%s]}`,
			topic, r.partition, r.offset, key, value, attributes(r.id())))
	}
	all := ""
	for name, list := range lists {
		if all != "" {
			all += ","
		}
		all += fmt.Sprintf("%q:[", name)
		for i, r := range list {
			if i > 0 {
				all += ","
			}
			all += r
		}
		all += "]"
	}
	return fmt.Appendf(nil, `{"eventSource":"aws:kafka","records":{%s}}`, all)
}

// attributes are the headers of a CloudEvent.
func attributes(id string) string {
	list := ""
	for _, h := range [][2]string{{"ce_specversion", "1.0"}, {"ce_id", id}, {"ce_source", "/test"}, {"ce_type", placed}} {
		if list != "" {
			list += ","
		}
		list += fmt.Sprintf(`{%q:%s}`, h[0], numbers(h[1]))
	}
	return list
}

func numbers(text string) string {
	list := "["
	for i := range len(text) {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprint(int8(text[i]))
	}
	return list + "]"
}

// invoke runs an invocation that has so much time, and returns what it handed back.
func (w *world) invoke(t testing.TB, timeout time.Duration, o *msktrigger.Options, records ...record) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if o == nil {
		o = &msktrigger.Options{}
	}
	o.Log = slog.New(slog.DiscardHandler)
	answer, err := msktrigger.New(w.pipeline(t), o).Invoke(ctx, payload(records...))
	if err != nil {
		t.Errorf("Invoke: %v", err)
	}
	return handedBack(t, answer)
}

// handedBack reads an answer as Lambda would.
func handedBack(t testing.TB, answer []byte) []string {
	t.Helper()
	var response struct {
		BatchItemFailures *[]struct {
			ItemIdentifier struct {
				Partition string `json:"partition"`
				Offset    int64  `json:"offset"`
			} `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &response); err != nil || response.BatchItemFailures == nil {
		t.Errorf("answer %s: %v", answer, err)
		return nil
	}
	ids := []string{}
	for _, f := range *response.BatchItemFailures {
		ids = append(ids, fmt.Sprintf("%s@%d", f.ItemIdentifier.Partition, f.ItemIdentifier.Offset))
	}
	return ids
}
